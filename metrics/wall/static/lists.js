// Leaderboards, contests and the feed: rows of people in, tables and lists out that reuse their rows.

import { KeyedList, make, setAttribute, setHidden, setProperty, setText } from "./dom.js";
import { noteOf, panel, titleOf } from "./panel.js";

const RUNNING = { upcoming: "starts_in", running: "ends_in" };

// A table that stays a table for a screen reader although its rows are laid out as grids.
function rankTable(f, columns) {
  const head = make("tr"), body = make("tbody", "fitted");
  for (const name of columns) {
    const cell = make("th", "", f.ui(name));
    cell.setAttribute("scope", "col");
    cell.setAttribute("role", "columnheader");
    head.append(cell);
  }
  const table = make("table", "ranks", make("thead", "unseen", head), body);
  table.setAttribute("role", "table");
  head.setAttribute("role", "row");
  body.setAttribute("role", "rowgroup");
  const rows = new KeyedList(body, () => rankRow(f), (row, data) => row.update(data), { glides: true });
  return { table, body, rows };
}

function rankRow(f) {
  const rank = make("td", "rank"), change = make("td", "change"), name = make("th", "name");
  const value = make("td", "amount"), share = make("td", "share"), bar = make("span", "underline");
  const shown = make("bdi"), person = make("bdi"), team = make("span", "team"), sign = make("span"), aloud = make("span", "unseen");
  name.setAttribute("scope", "row");
  sign.setAttribute("aria-hidden", "true");
  bar.setAttribute("aria-hidden", "true");
  name.append(person, team, bar);
  value.append(shown);
  change.append(sign, aloud);
  const root = make("tr", "", rank, change, name, value, share);
  root.setAttribute("role", "row");
  for (const cell of [rank, change, value, share]) cell.setAttribute("role", "cell");
  name.setAttribute("role", "rowheader");
  return {
    root,
    update(row) {
      setText(rank, (row.tied ? "=" : "") + f.count(row.rank));
      setAttribute(rank, "data-medal", row.rank <= 3 && row.medals ? row.rank : null);
      setText(person, row.name || row.key);
      setText(team, row.team && row.team !== row.name ? row.team : "");
      setText(shown, row.shown);
      setText(share, typeof row.target_share === "number" ? f.percent(row.target_share) : "");
      setHidden(share, !row.targets);
      setProperty(bar, "transform", `scaleX(${row.length.toFixed(3)})`);
      showChange(row.rank_change);
    },
  };
  function showChange(moved) {
    const places = Math.abs(moved || 0);
    setText(sign, moved ? `${moved > 0 ? "▲" : "▼"}${f.count(places)}` : "");
    setText(aloud, moved ? f.ui(moved > 0 ? "places_up" : "places_down", { n: places }) : "");
    setAttribute(change, "data-good", moved ? moved > 0 : null);
  }
}

function rankRows(f, data, shownOf) {
  const rows = data.rows || [];
  const most = Math.max(...rows.map(row => Math.abs(measure(row, data))), 0);
  const targets = data.kind !== "most_improved" && rows.some(row => typeof row.target_share === "number");
  return rows.map(row => ({
    ...row, targets, medals: true, shown: shownOf(row),
    length: most > 0 ? Math.max(0, measure(row, data)) / most : 0,
  }));
}

// Columns that say nothing take no room.
function shape(table, rows) {
  table.classList.toggle("with-share", rows.some(row => row.targets));
  table.classList.toggle("with-change", rows.some(row => row.rank_change));
}

function measure(row, data) { return (data.kind === "most_improved" ? row.improved ?? row.value : row.value) || 0; }

export function leaderboard(f, kind) {
  const frame = panel("leaderboard"), found = rankTable(f, ["rank", "rank_change", "name", "value", "share_of_target"]);
  const empty = make("p", "empty");
  frame.body.append(found.table, empty);
  return {
    root: frame.root,
    list: found.body,
    update(data) {
      const name = f.kpi(data.label || data.kpi), improved = kind === "most_improved";
      setText(frame.title, titleOf(data, improved ? f.text("widget", kind) : name));
      setText(frame.note, improved ? `${name} · ${f.window(data.window)}` : noteOf(f, data));
      const rows = rankRows(f, data, row => kind === "most_improved"
        ? f.gain(row.improved ?? row.value, data) : f.figure(row.value, data));
      setAttribute(found.table, "aria-label", frame.title.textContent);
      shape(found.table, rows);
      found.rows.show(rows, row => row.key);
      setText(empty, rows.length ? "" : f.ui("nobody_yet"));
    },
  };
}

export function contest(f) {
  const frame = panel("contest"), found = rankTable(f, ["rank", "rank_change", "name", "value", "share_of_target"]);
  const left = make("bdi", "left"), until = make("span"), prize = make("p", "prize"), empty = make("p", "empty");
  frame.body.append(make("div", "deadline", make("p", "", until, left), prize), found.table, empty);
  let shown = null;
  return {
    root: frame.root,
    list: found.body,
    update(data) {
      shown = data;
      setText(frame.title, titleOf(data, data.name));
      setText(frame.note, data.label ? f.kpi(data.label) : "");
      setText(prize, data.prize ? f.ui("prize", { prize: data.prize }) : "");
      const rows = rankRows(f, data, row => f.figure(row.value, data));
      setAttribute(found.table, "aria-label", frame.title.textContent);
      shape(found.table, rows);
      found.rows.show(rows, row => row.key);
      setText(empty, rows.length ? "" : f.ui("nobody_yet"));
    },
    beat(nowMs) {
      if (shown === null) return;
      // The server says the new state a tick later than the countdown ends.
      const state = shown.state === "upcoming" && nowMs >= shown.starts_ms ? "running" : shown.state;
      const key = typeof shown.starts_ms === "number" ? RUNNING[state] : "";
      if (!key || state === "running" && nowMs >= shown.ends_ms) {
        setText(until, f.ui(state === "final" ? "contest_final" : "contest_settling"));
        setText(left, "");
        return;
      }
      setText(until, f.ui(key));
      setText(left, f.countdown((state === "upcoming" ? shown.starts_ms : shown.ends_ms) - nowMs));
    },
  };
}

export function feed(f) {
  const frame = panel("feed"), list = make("ol", "events fitted"), empty = make("p", "empty");
  frame.body.append(list, empty);
  const rows = new KeyedList(list, () => feedRow(f), (row, data) => row.update(data), { glides: true });
  return {
    root: frame.root,
    list,
    update(data) {
      setText(frame.title, titleOf(data, f.text("widget", "feed")));
      rows.show(data.items, item => item.id);
      setText(empty, data.items.length ? "" : f.ui("nothing_yet"));
    },
    beat(nowMs) { for (const row of rows.children.values()) row.beat(nowMs); },
  };
}

function feedRow(f) {
  const what = make("span", "what"), who = make("bdi", "name"), amount = make("bdi", "amount"), when = make("time", "when");
  let atMs = 0;
  return {
    root: make("li", "", make("p", "line", who, amount), make("p", "line soft", what, when)),
    update(item) {
      atMs = item.at_ms;
      setText(who, item.rep_name || item.rep || f.ui("somebody"));
      setText(what, f.text("feed", item.kind) ?? f.kpi(item.kind));
      const priced = typeof item.amount_minor === "number";
      setText(amount, priced ? f.money(item.amount_minor, item.currency, item.currency_exponent ?? item.exponent ?? 2) : "");
      setAttribute(this.root, "data-kind", item.kind);
    },
    beat(nowMs) {
      const seconds = Math.max(0, (nowMs - atMs) / 1000);
      setText(when, seconds < 60 ? f.ui("just_now") : f.ui("ago", { span: f.past(seconds) }));
    },
  };
}
