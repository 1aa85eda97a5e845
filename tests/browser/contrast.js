// Each text of a page: [contrast with its ground, whether it is large, what it is].
() => {
  const channels = color => (color.match(/[\d.]+/g) || []).map(Number);
  const bright = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const color = channels(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    if (!node.offsetParent && !node.closest('#win, dialog') || node.closest('.unseen, [hidden]')) continue;
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    const [a, b] = [bright(channels(style.color)), bright(ground(node))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), large, `${node.className || node.id} ${style.color} on ${ground(node)}`]);
  }
  return found;
}
