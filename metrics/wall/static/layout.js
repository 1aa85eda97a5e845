// Widgets in, a screen without gaps out: KPIs in a strip, panels in columns of like weight, lists cut to the
// rows that fit. Measures only when the screen or the set of widgets changes, not at each tick.

import { make, setHidden, setProperty } from "./dom.js";

const HEADING_REM = 4.9, DEADLINE_REM = 3, CONVERSION_REM = 15.5, FEW_ROWS = 3, MANY_ROWS = 10;
// Of these a few rows say something; of the others, as of a funnel, all are needed.
const CUTTABLE = new Set(["leaderboard", "most_improved", "contest", "feed"]);
const ROW_REM = { leaderboard: 3.4, most_improved: 3.4, contest: 3.4, feed: 4.7, pipeline: 3.9, funnel: 3.9 };
const WIDE = new Set(["leaderboard", "most_improved", "contest"]);
const COLUMNS_MAX = 3;
const WIDE_FIGURE = 1.15, WIDE_SHARE = 0.66;
const BOARD_REM = 59, STRIP_REM = [0, 19, 30], TWO_LINES_REM = 5;
const FIGURE_LINE = 1.2;
const FIGURE_REM_MAX = 5.4, FIGURE_REM_MIN = 1.4;

// How many KPIs stand beside each other, and whether the first one takes two places.
function stripOf(count) {
  if (count <= 3) return { columns: count, first: false };
  if (count <= 5) return { columns: count + 1, first: true };
  if (count === 6) return { columns: 6, first: false };
  const rows = Math.ceil(count / 6), columns = Math.ceil(count / rows);
  return { columns, first: columns * rows === count + 1 };
}

// The tallest first, each into the shortest column; columns and what is in them keep the board's order.
function columnsOf(panels, room) {
  const total = panels.reduce((sum, panel) => sum + sizeOf(panel).wanted, 0);
  const few = Math.max(2, Math.ceil(total / room - 0.2));
  const most = window.innerHeight > window.innerWidth ? 1 : COLUMNS_MAX;
  const columns = Array.from({ length: Math.min(most, panels.length, few) }, () => ({ height: 0, panels: [] }));
  const tallest = [...panels].sort((a, b) => sizeOf(b).wanted - sizeOf(a).wanted);
  for (const panel of tallest) {
    const shortest = columns.reduce((best, column) => column.height < best.height ? column : best);
    shortest.panels.push(panel);
    shortest.height += sizeOf(panel).wanted;
  }
  for (const column of columns) column.panels.sort((a, b) => panels.indexOf(a) - panels.indexOf(b));
  return columns.sort((a, b) => panels.indexOf(a.panels[0]) - panels.indexOf(b.panels[0]));
}

// What a panel needs at least and what it would like, in rem of height.
function sizeOf({ kind, view }) {
  if (!view.list) return { needed: CONVERSION_REM, wanted: CONVERSION_REM };
  const rows = Math.max(1, view.list.childElementCount), least = ROW_REM[kind] || 4;
  const frame = HEADING_REM + (kind === "contest" ? DEADLINE_REM : 0);
  const few = CUTTABLE.has(kind) ? Math.min(rows, FEW_ROWS) : rows;
  return { needed: frame + few * least, wanted: frame + Math.min(rows, MANY_ROWS) * least };
}

export class Layout {
  constructor(board) {
    this.board = board;
    this.cards = [];
    this.panels = [];
    this.length = 0;
    this.due = false;
    this.watch = new ResizeObserver(() => this.fitSoon());
    this.watch.observe(board);
  }

  // `views` are the board's widgets in its order: { kind, view }.
  arrange(views) {
    const cards = views.filter(each => each.kind === "kpi"), panels = views.filter(each => each.kind !== "kpi");
    const strip = make("div", "strip"), columns = make("div", "columns");
    const { columns: places, first } = stripOf(cards.length);
    strip.append(...cards.map(each => each.view.root));
    strip.classList.toggle("first-is-wide", first);
    setProperty(strip, "--places", places);
    const rows = cards.length ? Math.ceil((cards.length + (first ? 1 : 0)) / places) : 0;
    const found = columnsOf(panels, BOARD_REM - STRIP_REM[Math.min(2, rows)]);
    for (const { panels: inside } of found) {
      const column = make("div", "column");
      column.append(...inside.map(each => each.view.root));
      columns.append(column);
    }
    setProperty(columns, "--tracks", found.map(({ panels: inside }) =>
      inside.some(each => WIDE.has(each.kind)) ? "minmax(0, 1.15fr)" : "minmax(0, 1fr)").join(" "));
    this.board.replaceChildren(...[cards.length && strip, panels.length && columns].filter(Boolean));
    this.board.dataset.rows = rows;
    this.board.dataset.panels = panels.length;
    this.cards = cards.map(each => each.view);
    this.panels = panels;
    this.length = 0;
    this.fitSoon();
  }

  fitSoon() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.fit(); });
  }

  fit() {
    this.fitFigures();
    for (const panel of this.panels) {
      const { needed, wanted } = sizeOf(panel);
      setProperty(panel.view.root, "--need", `${needed.toFixed(1)}rem`);
      setProperty(panel.view.root, "--gives", CUTTABLE.has(panel.kind) ? 100 : 1);   // gives way first
      setProperty(panel.view.root, "flex-grow", (wanted - needed + 2).toFixed(1));
    }
    for (const { view } of this.panels) {
      if (view.list) fitList(view);
      else fitBody(view.root);
    }
  }

  // One size for all figures of the strip, by its longest one; it does not jump back when that gets shorter.
  fitFigures() {
    if (!this.cards.length) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    setProperty(this.board, "--heading", "0");
    const headings = Math.max(...this.cards.map(({ heading }) => heading.offsetHeight));
    setProperty(this.board, "--heading", `${headings}px`);
    let size = headings > TWO_LINES_REM * rem ? FIGURE_REM_MAX * 0.75 : FIGURE_REM_MAX;
    for (const { value, root } of this.cards) {
      const style = getComputedStyle(root);
      const room = root.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      const wide = root === this.board.querySelector(".first-is-wide > :first-child");
      const widthOfOneRem = value.offsetWidth / parseFloat(getComputedStyle(value).fontSize) * rem;
      if (widthOfOneRem) size = Math.min(size, room * (wide ? WIDE_SHARE / WIDE_FIGURE : 1) / widthOfOneRem);
      const line = parseFloat(style.fontSize) * 1.3, below = root.classList.contains("aimed") || wide ? 2 * line : line;
      const height = root.clientHeight - 2 * parseFloat(style.paddingTop) - headings - line - below;
      if (!flows(root)) size = Math.min(size, height / rem / FIGURE_LINE / (wide ? WIDE_FIGURE : 1));
    }
    setProperty(this.board, "--figure", `${Math.max(FIGURE_REM_MIN, size * 0.98).toFixed(2)}rem`);
  }

  // Called after each change: only a longer figure or another number of rows asks for a measurement.
  changed() {
    for (const { view } of this.panels) if (view.list) showFitting(view.list);
    const length = Math.max(0, ...this.cards.map(({ value }) => Number(value.dataset.length || 0)));
    if (length > this.length) {
      this.length = length;
      this.fitSoon();
    } else if (this.panels.some(({ view }) => view.list && view.list.childElementCount !== view.list.fittedCount)) this.fitSoon();
  }
}

// Whether the page is as long as it likes, as on a phone.
function flows(node) { return getComputedStyle(node).getPropertyValue("--flows").trim() === "1"; }

// Shows as many rows as have room, and gives each an equal part of it.
function fitList({ list, cut }) {
  const rows = [...list.children];
  list.fittedCount = rows.length;
  const style = getComputedStyle(list), gap = parseFloat(style.rowGap) || 0;
  const least = parseFloat(style.getPropertyValue("--row-least")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const fitting = flows(list) || !least ? rows.length : Math.max(1, Math.floor((list.clientHeight + gap) / (least + gap)));
  list.fitting = fitting;
  showFitting(list);
  if (cut) cut(Math.min(fitting, rows.length), rows.length);
}

// Rows come and go at the top; how many there is room for stays.
function showFitting(list) {
  let place = 0;
  for (const row of list.children) {
    setHidden(row, place >= list.fitting);
    place += 1;
  }
}

// A panel without rows that is too low leaves its smallest words out.
function fitBody(root) {
  root.classList.remove("tight");
  const body = root.lastElementChild;
  root.classList.toggle("tight", body.scrollHeight > body.clientHeight + 1);
}
