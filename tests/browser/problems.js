// What is wrong with the boxes of a page. Meant to be cut: names of people and stages end in …, words without
// room leave as a whole.
() => {
  const problems = [], seen = node => node.offsetParent !== null && !node.closest('.unseen, [hidden], .trend');
  const name = node => `${node.tagName}.${node.className} "${node.textContent.slice(0, 40)}"`;
  const inside = (inner, outer) => inner.left >= outer.left - 1.5 && inner.right <= outer.right + 1.5
    && inner.top >= outer.top - 1.5 && inner.bottom <= outer.bottom + 1.5;
  const screen = { left: 0, top: 0, right: document.documentElement.clientWidth, bottom: document.documentElement.scrollHeight };
  const boxes = [...document.querySelectorAll('.kpi, .panel, .alert, header > *')].filter(seen);
  boxes.forEach((one, place) => {
    const a = one.getBoundingClientRect();
    if (!inside(a, screen)) problems.push(`${name(one)} leaves the screen`);
    for (const other of boxes.slice(place + 1)) {
      const b = other.getBoundingClientRect();
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        problems.push(`${name(one)} lies on ${name(other)}`);
    }
  });
  for (const node of document.querySelectorAll('h1, h2, p, bdi, span, td, th, a, button, time')) {
    if (!seen(node) || !node.textContent.trim() || node.children.length > 0) continue;
    const line = node.closest('.delta, .target p');
    if (line && !inside(node.getBoundingClientRect(), line.getBoundingClientRect())) continue;
    const box = node.getBoundingClientRect(), frame = node.closest('.kpi, .panel, .alert, header');
    if (frame && !inside(box, frame.getBoundingClientRect())) problems.push(`${name(node)} leaves its frame`);
    for (let cut = node; cut && cut !== frame; cut = cut.parentElement) {
      const style = getComputedStyle(cut);
      if (style.overflowX === 'hidden' && style.textOverflow !== 'ellipsis' && cut.scrollWidth > cut.clientWidth + 1)
        problems.push(`${name(cut)} is cut off`);
    }
  }
  for (const list of document.querySelectorAll('.fitted')) {
    if (list.scrollHeight > list.clientHeight + 2) problems.push(`${name(list)} has half a row`);
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) problems.push('the page scrolls sideways');
  return problems;
}
