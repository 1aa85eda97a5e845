// A widget's data in, its part of the page out: cards of KPIs, bars and the conversion band. One maker per
// kind; each returns { root, update(data), beat(nowMs) } and keeps its nodes for as long as the board is shown.

import { KeyedList, make, makeSvg, setAttribute, setHidden, setProperty, setText } from "./dom.js";
import { lengthOf } from "./format.js";
import { contest, feed, leaderboard } from "./lists.js";
import { nextId, noteOf, panel, titleOf } from "./panel.js";

const TREND_WIDTH = 100, TREND_HEIGHT = 30, TREND_EDGE = 2;
const PACE_SIGNS = { ahead: "▲", behind: "▼", on: "●" };

function kpi(f) {
  const id = nextId(), title = make("h2", "title"), when = make("p", "note"), value = make("bdi", "figure");
  const delta = make("p", "delta"), deltaText = make("bdi"), before = make("span", "before");
  const target = kpiTarget(f), trend = kpiTrend(f);
  title.id = id;
  delta.append(deltaText, before);
  const heading = make("div", "heading", title, when), top = make("div", "top", heading, make("p", "value", value), delta);
  const root = make("section", "kpi", top, trend.root, target.root);
  root.setAttribute("aria-labelledby", id);
  function update(data) {
    setText(title, titleOf(data, f.kpi(data.label || data.kpi)));
    setText(when, noteOf(f, data));
    const known = data.value !== null && data.value !== undefined;
    setText(value, known ? f.figure(data.value, data) : "–");
    setAttribute(value, "data-length", lengthOf(value.textContent));
    root.classList.toggle("unknown", !known);
    showDelta(data, known);
    target.update(data);
    trend.update(data);
    root.classList.toggle("aimed", typeof data.target === "number");
  }
  function showDelta(data, known) {
    const change = known ? changeOf(data) : null;
    setAttribute(delta, "data-good", change === null || change.sign === 0 ? null : (change.sign > 0) === (data.better !== "down"));
    if (!known) {
      setText(deltaText, (data.why_null && f.text("why", data.why_null)) || f.ui("no_value"));
      setText(before, "");
    } else if (change === null) {
      setText(deltaText, "");
      setText(before, "");
    } else {
      const sign = change.sign > 0 ? "▲" : change.sign < 0 ? "▼" : "=", size = Math.abs(change.share);
      setText(deltaText, change.share === null ? sign : `${sign} ${f.percent(size, size < 0.01 ? 1 : 0)}`);
      setText(before, f.ui("before", { value: f.figure(data.previous, data, { compact: true }) }));
    }
    setHidden(delta, known && change === null);
  }
  return { root, update, value, heading };
}

function changeOf({ value, previous }) {
  if (typeof previous !== "number") return null;
  const share = previous === 0 ? null : (value - previous) / Math.abs(previous);
  return { sign: Math.sign(value - previous), share: share !== null && Math.abs(share) < 10 ? share : null };
}

function kpiTarget(f) {
  const fill = make("span", "fill"), mark = make("span", "mark"), bar = make("div", "bar", fill, mark);
  const text = make("span"), pace = make("span", "pace");
  const root = make("div", "target", bar, make("p", "", pace, text));
  bar.setAttribute("aria-hidden", "true");
  function update(data) {
    const { target, expected, attainment } = data;
    const has = typeof target === "number";
    setHidden(root, !has);
    if (!has) return;
    const share = attainment ?? (target > 0 ? data.value / target : null);
    setProperty(fill, "transform", `scaleX(${clamped(share ?? 0).toFixed(3)})`);
    const paced = typeof expected === "number" && target > 0;
    setHidden(mark, !paced);
    if (paced) setProperty(mark, "inset-inline-start", `${(clamped(expected / target) * 100).toFixed(1)}%`);
    setText(text, f.ui("of_target", {
      share: share === null ? "–" : f.percent(share), target: f.figure(target, data, { compact: true }) }));
    setAttribute(root, "data-pace", data.pace);
    setText(pace, data.pace ? `${PACE_SIGNS[data.pace]} ${f.ui(`pace_${data.pace}`)}` : "");
  }
  return { root, update };
}

function clamped(share) { return Math.min(1, Math.max(0, share)); }

function kpiTrend(f) {
  const area = makeSvg("path", { class: "area" }), line = makeSvg("path", { class: "line" });
  const root = makeSvg("svg", { class: "trend", viewBox: `0 0 ${TREND_WIDTH} ${TREND_HEIGHT}`,
    preserveAspectRatio: "none", role: "img" });
  root.append(area, line);
  function update(data) {
    const points = (data.trend || []).map((value, place, all) => [place / (all.length - 1), value])
      .filter(([, value]) => typeof value === "number");
    root.toggleAttribute("hidden", points.length < 2);
    if (points.length < 2) return;
    const values = points.map(([, value]) => value);
    const low = Math.min(...values), high = Math.max(...values);
    const d = pathOf(points, low, high);
    setAttribute(line, "d", d);
    setAttribute(area, "d", `${d}V${TREND_HEIGHT}H${(points[0][0] * TREND_WIDTH).toFixed(1)}Z`);
    setAttribute(root, "aria-label", f.ui("trend", {
      from: f.figure(values[0], data, { compact: true }), to: f.figure(values[values.length - 1], data, { compact: true }) }));
  }
  return { root, update };
}

function pathOf(points, low, high) {
  const room = TREND_HEIGHT - 2 * TREND_EDGE;
  return points.map(([share, value], place) => {
    const height = high > low ? (value - low) / (high - low) : 0.5;
    return `${place ? "L" : "M"}${(share * TREND_WIDTH).toFixed(1)} ${(TREND_EDGE + (1 - height) * room).toFixed(1)}`;
  }).join("");
}

// Bars of a pipeline or a funnel: a list whose entries say their numbers, with a bar that only looks.
function bars(className, { fallback, rowsOf }) {
  return f => {
    const frame = panel(className), list = make("ol", "bars fitted");
    frame.body.append(list);
    const rows = new KeyedList(list, () => barRow(), (row, data) => row.update(data));
    let note = "", cut = "";
    const showNote = () => setText(frame.note, [note, cut].filter(Boolean).join(" · "));
    return {
      root: frame.root,
      list,
      update(data) {
        setText(frame.title, titleOf(data, f.text("widget", fallback)));
        note = data.window ? noteOf(f, data) : f.ui("now");
        rows.show(rowsOf(f, data), row => row.key);
        showNote();
      },
      // Bars without room are left out, and the heading says so.
      cut(shown, all) {
        cut = shown < all ? `${f.count(shown)}/${f.count(all)}` : "";
        showNote();
      },
    };
  };
}

function barRow() {
  const name = make("span", "name"), figure = make("bdi", "amount"), more = make("span", "more");
  const short = make("span"), aloud = make("span", "unseen");
  more.append(short, aloud);
  const fill = make("span", "fill"), bar = make("div", "bar", fill);
  bar.setAttribute("aria-hidden", "true");
  return {
    root: make("li", "", make("p", "line", name, more, figure), bar),
    update(row) {
      setText(name, row.name);
      setText(figure, row.figure);
      setText(short, row.more);
      setText(aloud, row.aloud);
      setProperty(fill, "transform", `scaleX(${clamped(row.share).toFixed(3)})`);
    },
  };
}

const pipeline = bars("pipeline", {
  fallback: "pipeline",
  rowsOf(f, data) {
    const most = Math.max(1, ...data.stages.map(stage => stage.amount_minor));
    return data.stages.map(stage => ({
      key: stage.stage,
      name: stage.name || stage.stage,
      figure: f.money(stage.amount_minor, data.currency, data.exponent),
      more: f.ui("deals", { n: stage.count }),
      aloud: "",
      share: stage.amount_minor / most,
    }));
  },
});

const funnel = bars("funnel", {
  fallback: "funnel",
  rowsOf(f, data) {
    const most = Math.max(1, ...data.steps.map(step => step.value ?? 0));
    return data.steps.map((step, place) => ({
      key: `${place} ${step.label}`,
      name: f.kpi(step.label),
      figure: step.value === null ? "–" : f.bigCount(step.value),
      more: typeof step.share_of_previous === "number" ? f.percent(step.share_of_previous) : "",
      aloud: typeof step.share_of_previous === "number" ? f.ui("of_previous") : "",
      share: (step.value ?? 0) / most,
    }));
  },
});

function conversion(f) {
  const frame = panel("conversion"), rate = make("bdi", "figure"), counts = make("p", "counts");
  const band = make("span", "band"), point = make("span", "point"), usual = make("span", "usual");
  const scale = make("div", "scale", band, usual, point), said = make("p", "range"), baseline = make("p", "baseline");
  scale.setAttribute("aria-hidden", "true");
  frame.body.append(make("div", "rate", make("p", "value", rate), counts), scale, make("div", "said", said, baseline));
  function update(data) {
    setText(frame.title, titleOf(data, f.text("funnel", data.funnel) ?? f.kpi(data.funnel)));
    setText(frame.note, [data.window && f.window(data.window), data.team].filter(Boolean).join(" · "));
    const known = typeof data.rate === "number";
    setText(rate, known ? f.percent(data.rate, 1) : "–");
    setText(counts, known ? f.ui("out_of", { part: f.count(data.successes), whole: f.count(data.trials) }) : f.ui("no_value"));
    setHidden(scale, !known);
    setText(said, known ? f.ui("likely_between", { low: f.percent(data.lower), high: f.percent(data.upper) }) : "");
    const based = typeof data.baseline === "number";
    setText(baseline, based ? f.ui("usually", { share: f.percent(data.baseline, 1) }) : "");
    setHidden(usual, !based);
    if (!known) return;
    const most = Math.min(1, Math.max(data.upper, data.baseline ?? 0) * 1.15) || 1;
    const place = share => `${(clamped(share / most) * 100).toFixed(1)}%`;
    setProperty(band, "inset-inline-start", place(data.lower));
    setProperty(band, "inset-inline-end", `${(100 - clamped(data.upper / most) * 100).toFixed(1)}%`);
    setProperty(point, "inset-inline-start", place(data.rate));
    if (based) setProperty(usual, "inset-inline-start", place(data.baseline));
  }
  return { root: frame.root, update };
}

export const MAKERS = { kpi, pipeline, funnel, conversion, feed, leaderboard, most_improved: leaderboard, contest };
