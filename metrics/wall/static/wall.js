// The wall: joins the line, the boards, the celebrations and the keys. Start reading here: `Wall.receive` takes
// each message of the server, `Wall.beat` is all that time alone does, once a second.

import { make, setAttribute, setHidden, setText } from "./dom.js";
import { Formatter } from "./format.js";
import { Help } from "./help.js";
import { Layout } from "./layout.js";
import { Rotation } from "./rotation.js";
import { Stream } from "./stream.js";
import { MAKERS } from "./widgets.js";
import { Sound, Wins } from "./wins.js";

const LANGUAGES = ["en", "ms", "id", "zh-Hant", "zh-Hans", "fa"];
const THEMES = ["auto", "light", "dark"];
const ALERTS_SHOWN = 2;
const SEVERITIES = { page: "critical", critical: "critical", info: "info" };   // anything else is a warning
const GRAVEST_FIRST = ["critical", "warning", "info"];
const POINTER_REST_MS = 4000;

const $ = id => document.getElementById(id);
const page = document.querySelector("meta[name=salesfloor-wall]").dataset;
const query = new URLSearchParams(location.search);

class Wall {
  constructor(language, texts) {
    this.f = new Formatter(language, texts);
    this.board = "";
    this.widgets = [];         // which ones the board is made of
    this.views = new Map();
    this.meta = null;
    this.heardMs = 0;          // by this machine's clock
    this.aheadMs = 0;          // the server's clock minus this machine's
    this.goodMs = 0;           // as of when the shown numbers were last known to be right
    this.connected = false;
    this.pending = [];
    this.alerts = [];
    this.layout = new Layout($("board"));
    this.rotation = new Rotation(boardOfPath());
    this.wins = new Wins($("win"), this.f, text => this.say(text));
    this.help = new Help($("help"), this.f, LANGUAGES);
    this.stream = new Stream({
      urlOf: board => streamUrl(board),
      receive: (name, data) => this.receive(name, data),
      lost: () => { this.connected = false; this.showState(); },
      refused: board => this.rotation.shown(this.board || board, this.nowMs()),
    });
    this.dress();
  }

  // The server's time: a TV's own clock is often wrong.
  nowMs() { return Date.now() + this.aheadMs; }

  receive(name, data) {
    switch (name) {
      case "hello": this.greet(data); break;
      case "board": this.build(data); break;
      case "change": this.change(data); break;
      case "win": this.wins.add(data, this.nowMs()); this.wins.beat(this.nowMs()); break;
      case "win_reverted": this.wins.revert(data.id); break;
      case "alerts": this.warn(data.alerts || []); break;
    }
  }

  greet(hello) {
    this.f.zone = hello.zone || "UTC";
    this.currency = hello.currency;
    this.exponent = hello.currency_exponent;
    this.aheadMs = hello.now_ms - Date.now();
    this.rotation.take(hello);
    this.wins.take(hello);
    const sound = query.get("sound") ?? (hello.win && hello.win.sound ? "1" : "0");
    if (sound === "1" && this.wins.sound === null) this.wins.sound = new Sound();
    setText($("floor"), hello.floor);
    this.showBoards();
    if (hello.release && hello.release !== page.release) renew(hello.release);
  }

  build(data) {
    if (data.board === this.board && sameWidgets(this.widgets, data.widgets)) {
      // The line was lost and is back: the same board goes on, without a flicker.
      this.change(data);
      return;
    }
    this.board = data.board;
    this.widgets = data.widgets.map(({ id, kind }) => ({ id, kind }));
    this.rotation.shown(data.board, this.nowMs());
    this.views.clear();
    const views = [];
    for (const widget of data.widgets) {
      const maker = MAKERS[widget.kind];
      if (maker === undefined) continue;
      const view = maker(this.f, widget.kind);
      this.update(view, widget);
      this.views.set(widget.id, view);
      views.push({ kind: widget.kind, view });
    }
    this.pending = [];
    this.follow(data);
    this.showAge();
    this.layout.arrange(views);
    this.showBoards();
    if (!this.rotation.rotates) return;
    $("board").animate([{ opacity: 0 }, { opacity: 1 }], { duration: 400 });
  }

  change(data) {
    if (data.board !== this.board) return;
    this.follow(data);
    if (!data.widgets || !data.widgets.length) return;
    // Ticks that come while nobody looks are drawn once, with the newest of each widget.
    if (!this.pending.length) requestAnimationFrame(() => this.draw());
    const newer = new Set(data.widgets.map(widget => widget.id));
    this.pending = [...this.pending.filter(widget => !newer.has(widget.id)), ...data.widgets];
  }

  draw() {
    const changed = this.pending;
    this.pending = [];
    for (const widget of changed) {
      const view = this.views.get(widget.id);
      if (view !== undefined) this.update(view, widget);
    }
    this.layout.changed();
  }

  // The floor's currency stands in the greeting unless the widget names its own.
  update(view, widget) {
    view.update({ currency: this.currency, exponent: this.exponent, ...widget });
    if (view.beat) view.beat(this.nowMs());
  }

  follow(data) {
    this.meta = data;
    this.connected = true;
    this.heardMs = Date.now();
    this.aheadMs = data.now_ms - this.heardMs;
    if (!data.stale && !data.not_ready) this.goodMs = data.as_of_ms;
    this.showState();
    this.showLost(data.records_lost || 0);
  }

  beat() {
    const nowMs = this.nowMs();
    this.stream.beat();
    this.wins.beat(nowMs);
    for (const view of this.views.values()) if (view.beat) view.beat(nowMs);
    const due = this.rotation.due(nowMs);
    if (due !== null && !this.wins.current) this.turnTo(due);
    this.showAge();
    setText($("clock"), this.f.clock(nowMs));
  }

  turnTo(board) {
    this.rotation.shown(board, this.nowMs());
    this.stream.show(board);
  }

  showState() {
    const { meta } = this, stale = !this.connected || meta === null || meta.stale || meta.not_ready;
    const state = meta === null ? "connecting" : stale ? "stale" : meta.catching_up ? "catching_up" : "live";
    const before = $("state").dataset.state;
    if (state === before && state !== "stale") return;
    const text = state === "stale" ? this.staleText() : this.f.ui(state);
    setAttribute($("state"), "data-state", state);
    setAttribute(document.body, "data-state", state);
    setText($("state"), text);
    setAttribute($("state"), "title", (meta && meta.not_ready) || null);
    if (before !== state && (state === "stale" || before === "stale")) this.say(text);
  }

  // Nobody needs an Alertmanager to learn that the numbers lack something.
  showLost(n) {
    const text = n ? this.f.ui("records_lost", { n }) : "";
    if ($("lost-text").textContent === text) return;
    setText($("lost-text"), text);
    setHidden($("lost"), !n);
    if (n) this.say(text);
  }

  // Since the newest event when the floor went silent, else since the last numbers that came.
  staleText() {
    const silent = this.connected && this.meta.stale && !this.meta.not_ready;
    const sinceMs = silent ? this.meta.newest_event_ms : this.goodMs || this.meta.newest_event_ms;
    return sinceMs ? this.f.ui("stale", { time: this.f.since(sinceMs, this.nowMs()) }) : this.f.ui("not_ready");
  }

  showAge() {
    if (this.meta === null) return;
    const newest = this.meta.newest_event_ms;
    setText($("age"), newest === null || newest === undefined ? this.f.ui("no_event_yet")
      : this.f.ui("age", { span: this.f.duration(Math.max(0, Math.floor((this.nowMs() - newest) / 1000))) }));
  }

  showBoards() {
    const { boards } = this.rotation, shown = boards.find(board => board.name === this.board);
    setText($("board-title"), shown ? this.titleOf(shown) : "");
    setHidden($("boards"), boards.length < 2);
    const names = boards.map(board => `${board.name} ${board.title}`).join("\n");
    if ($("boards").dataset.names !== names) {
      $("boards").dataset.names = names;
      $("boards").replaceChildren(...boards.map(board => {
        const link = make("a", "", make("span", "unseen", this.titleOf(board)));
        link.href = `/wall/${encodeURIComponent(board.name)}${location.search}`;
        link.dataset.board = board.name;
        return link;
      }));
    }
    for (const link of $("boards").children) {
      setAttribute(link, "aria-current", link.dataset.board === this.board ? "page" : null);
    }
    setHidden($("pause"), !this.rotation.rotates || boards.length < 2);
    setText($("pause"), this.f.ui(this.rotation.paused ? "resume" : "pause"));
    setAttribute($("pause"), "aria-pressed", String(this.rotation.paused));
  }

  // The boards that every floor has are called in the page's language.
  titleOf(board) { return board.title || (this.f.text("board", board.name) ?? board.name); }

  warn(alerts) {
    const rank = alert => GRAVEST_FIRST.indexOf(severityOf(alert));
    const sorted = [...alerts].sort((a, b) => rank(a) - rank(b) || b.since_ms - a.since_ms);
    const known = new Set(this.alerts);
    this.alerts = sorted.map(alert => `${alert.name} ${JSON.stringify(alert.labels)}`);
    sorted.forEach((alert, place) => { if (!known.has(this.alerts[place])) this.say(this.alertText(alert)); });
    setHidden($("alerts"), !sorted.length);
    $("alerts").replaceChildren(...sorted.slice(0, ALERTS_SHOWN).map(alert => this.alertLine(alert)));
    if (sorted.length > ALERTS_SHOWN) {
      $("alerts").append(make("p", "more", this.f.ui("more_alerts", { n: sorted.length - ALERTS_SHOWN })));
    }
  }

  alertText(alert) {
    const name = this.f.text("alert", alert.name), { team, rep } = alert.labels || {};
    const who = rep || team || "";
    return name === null ? alert.summary || alert.name : who ? this.f.ui("alert_of", { alert: name, who }) : name;
  }

  alertLine(alert) {
    const severity = severityOf(alert);
    const sign = make("span", "sign", severity === "info" ? "ℹ" : "⚠"), level = make("span", "level", this.f.ui(`severity_${severity}`));
    sign.setAttribute("aria-hidden", "true");
    const line = make("p", `alert ${severity}`, sign, level, make("bdi", "text", this.alertText(alert)),
      make("span", "since", this.f.ui("since", { time: this.f.since(alert.since_ms, this.nowMs()) })));
    line.title = alert.description || alert.summary || "";
    return line;
  }

  // Spoken by screen readers; the same words twice are said once.
  say(text) { setText($("said"), text); }

  dress() {
    const { language } = this.f.texts;
    document.documentElement.lang = this.f.language;
    document.documentElement.dir = language.dir;
    setAttribute($("boards"), "aria-label", this.f.ui("boards"));
    setAttribute($("help-open"), "aria-label", this.f.ui("help"));
    setAttribute($("alerts"), "aria-label", this.f.ui("alerts"));
    setAttribute($("win"), "aria-label", this.f.ui("win"));
    $("pause").addEventListener("click", () => this.pause());
    $("help-open").addEventListener("click", () => this.help.open());
    document.addEventListener("keydown", event => this.key(event));
    this.showState();
  }

  pause() {
    this.rotation.paused = !this.rotation.paused;
    this.showBoards();
    this.say(this.f.ui(this.rotation.paused ? "paused" : "resumed"));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.isOpen) return;
    const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    const onControl = event.target.closest && event.target.closest("a, button, summary");
    if (event.key === "Escape") this.wins.end();
    else if (event.key === "p" || event.key === " " && !onControl) this.pause();
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.step(event.key === forward ? 1 : -1);
    else if (event.key === "f") this.fillScreen();
    else if (event.key === "?") this.help.open();
    else return;
    event.preventDefault();
  }

  step(places) {
    const next = this.rotation.beside(places, this.nowMs());
    if (next !== null) this.turnTo(next);
  }

  fillScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen().catch(() => {});
  }
}

function sameWidgets(before, now) {
  return before.length === now.length && before.every(({ id, kind }, place) => id === now[place].id && kind === now[place].kind);
}

function severityOf(alert) { return SEVERITIES[alert.severity] || "warning"; }

function boardOfPath() {
  const found = location.pathname.match(/^\/wall\/([^/]+)\/?$/);
  return found ? decodeURIComponent(found[1]) : null;
}

function streamUrl(board) {
  const asked = new URLSearchParams();
  if (board) asked.set("board", board);
  if (query.get("token")) asked.set("token", query.get("token"));
  return `/wall/stream?${asked}`;
}

// A new release is taken only when the server hands out its page: no loop, no blank screen.
let renewing = false;
async function renew(release) {
  if (renewing) return;
  renewing = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok && (await answer.text()).includes(`data-release="${release}"`)) location.reload();
  } catch { /* the next greeting asks again */ }
  renewing = false;
}

function applyTheme() {
  const theme = query.get("theme");
  if (THEMES.includes(theme)) document.documentElement.dataset.theme = theme;
}

// The pointer of a TV hides when nobody moves it.
function hidePointer() {
  let timer = 0;
  const moved = () => {
    document.documentElement.classList.add("pointed");
    clearTimeout(timer);
    timer = setTimeout(() => document.documentElement.classList.remove("pointed"), POINTER_REST_MS);
  };
  document.addEventListener("pointermove", moved, { passive: true });
}

async function textsOf(language) {
  const answer = await fetch(new URL(`text/${language}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`no texts for ${language}`);
  return answer.json();
}

async function start() {
  applyTheme();
  hidePointer();
  const asked = query.get("lang") || page.language;
  const language = LANGUAGES.includes(asked) ? asked : "en";
  const wall = new Wall(language, await textsOf(language));
  wall.stream.show(wall.rotation.chosen);
  wall.beat();
  setInterval(() => wall.beat(), 1000);
  return wall;
}

// A texts file that did not come is asked for again: nobody stands in front of the TV to press reload.
function keepTrying(seconds) {
  start().catch(() => setTimeout(() => keepTrying(Math.min(60, seconds * 2)), seconds * 1000));
}
keepTrying(2);
