// A frame with a heading, for widgets to fill. Knows no kind of widget.

import { make } from "./dom.js";

let lastId = 0;
export function nextId() { lastId += 1; return `w${lastId}`; }

// `body` takes the rest of the panel's height.
export function panel(className) {
  const title = make("h2", "title"), note = make("p", "note"), body = make("div", "body");
  title.id = nextId();
  const root = make("section", `panel ${className}`, make("div", "heading", title, note), body);
  root.setAttribute("aria-labelledby", title.id);
  return { root, title, note, body };
}

// The title of the settings, else the page's own word for what is shown.
export function titleOf(data, own) { return data.title || own; }

// What stands beside the title: the window, and whose numbers these are unless they are the floor's.
export function noteOf(f, data) {
  let part = "";
  if (data.quantile === 0.5) part = f.ui("median");
  else if (typeof data.quantile === "number") part = f.ui("quantile", { share: f.percent(data.quantile) });
  return [f.window(data.window), data.key, part].filter(Boolean).join(" · ");
}
