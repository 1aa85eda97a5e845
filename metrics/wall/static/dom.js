// Nodes in, the same nodes out, touched only where something changed. Knows nothing of sales.

export function make(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
export function makeSvg(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// Writing costs a layout even when the text is the same, so each node remembers what it shows.
export function setText(node, text) {
  if (node.shownText === text) return;
  node.shownText = text;
  node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function setProperty(node, name, value) {
  const text = String(value);
  if (node.style.getPropertyValue(name) !== text) node.style.setProperty(name, text);
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

const calmed = window.matchMedia("(prefers-reduced-motion: reduce)");
export function motionIsReduced() { return calmed.matches; }

// Keeps one child per key, in the rows' order; what is gone leaves the page and the memory.
export class KeyedList {
  constructor(parent, create, update, { glides = false } = {}) {
    Object.assign(this, { parent, create, update, glides });
    this.children = new Map();
    this.order = "";
  }

  show(rows, keyOf) {
    const keys = rows.map(keyOf), order = keys.join("\n");
    const moves = this.glides && this.order !== "" && this.order !== order && !motionIsReduced() && !document.hidden;
    this.order = order;
    const before = moves ? placesOf(this.parent) : null;
    this.arrange(rows, keys);
    if (before !== null) glide(this.parent, before);
  }

  arrange(rows, keys) {
    const wanted = new Set(keys);
    for (const [key, child] of this.children) {
      if (wanted.has(key)) continue;
      child.root.remove();
      this.children.delete(key);
    }
    let place = this.parent.firstElementChild;
    rows.forEach((row, number) => {
      let child = this.children.get(keys[number]);
      if (child === undefined) {
        child = this.create(row);
        this.children.set(keys[number], child);
      }
      this.update(child, row);
      if (child.root === place) place = place.nextElementSibling;
      else this.parent.insertBefore(child.root, place);
    });
  }
}

function placesOf(parent) { return new Map([...parent.children].map(child => [child, child.offsetTop])); }

// Children that changed places glide there, new ones appear. No layout, so the compositor does it alone.
function glide(parent, before) {
  for (const child of parent.children) {
    const shift = before.has(child) ? before.get(child) - child.offsetTop : 0;
    const from = before.has(child) ? { transform: `translateY(${shift}px)` } : { opacity: 0 };
    if (shift !== 0 || !before.has(child)) child.animate([from, { transform: "none", opacity: 1 }],
      { duration: 600, easing: "ease-in-out" });
  }
}
