// Faults of a page's layout, as lines of text: what overlaps, is cut off, lies outside the screen, scrolls sideways, or
// is hard to read. Evaluated in the page by report_pictures.py.
(() => {
  const faults = [], page = document.documentElement, screen = page.clientWidth;
  const quote = text => JSON.stringify(text.trim().replace(/\s+/g, ' ').slice(0, 40));
  if (page.scrollWidth > screen) faults.push(`the page is ${page.scrollWidth} wide, the screen ${screen}`);

  // What is seen of a rectangle inside the ancestors of its element. `cut`: one hides a part that nothing brings back.
  const seen = (rect, element) => {
    let {left, right, top, bottom} = rect, cut = false;
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at), box = at.getBoundingClientRect();
      if (style.overflowX === 'visible' && style.overflowY === 'visible') continue;
      const scrolls = /auto|scroll/.test(style.overflowX + style.overflowY), dots = style.textOverflow === 'ellipsis';
      const beyond = Math.max(box.left - left, right - box.right, box.top - top, bottom - box.bottom);
      if (beyond > 1 && !scrolls && !dots) cut = true;
      left = Math.max(left, box.left); right = Math.min(right, box.right);
      top = Math.max(top, box.top); bottom = Math.min(bottom, box.bottom);
    }
    return {left, right, top, bottom, cut};
  };

  // ---- texts ----
  const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || /^(SCRIPT|STYLE|NOSCRIPT)$/.test(element.tagName)) continue;
    if (!element.checkVisibility({checkVisibilityCSS: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      if (rect.width < 0.5 || rect.height < 0.5) continue;
      const part = seen(rect, element);
      if (part.cut) faults.push(`${quote(node.data)} is cut off`);
      if (part.right <= part.left || part.bottom <= part.top) continue;
      if (part.left < -0.5 || part.right > screen + 0.5) faults.push(`${quote(node.data)} is outside the screen`);
      texts.push({...part, node, element});
    }
  }
  texts.sort((a, b) => a.top - b.top);
  for (let i = 0; i < texts.length; i++)
    for (let k = i + 1; k < texts.length && texts[k].top < texts[i].bottom - 4; k++) {
      const a = texts[i], b = texts[k];
      if (a.node === b.node) continue;
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 4) faults.push(`${quote(a.node.data)} and ${quote(b.node.data)} overlap`);
    }

  // ---- boxes ----
  for (const element of document.body.querySelectorAll('img, svg, button, pre, table, progress, figure, h1, h2, dl')) {
    const rect = element.getBoundingClientRect();
    if (!element.checkVisibility() || rect.width === 0) continue;
    const part = seen(rect, element.parentElement);
    if (part.left < part.right && (part.left < -0.5 || part.right > screen + 0.5))
      faults.push(`${element.tagName} ${quote(element.textContent)} is outside the screen`);
    if (element.tagName === 'IMG' && !element.alt) faults.push('a picture has no words in its place');
    if (element.tagName === 'BUTTON' && !(element.textContent.trim() || element.getAttribute('aria-label')))
      faults.push('a button has no name');
  }

  // ---- contrast, as WCAG counts it ----
  const channels = color => {
    const numbers = (color.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return color.startsWith('color(') ? [...numbers.slice(-4, -1).map(x => 255 * x), numbers.at(-1)]
      : [numbers[0], numbers[1], numbers[2], numbers[3] === undefined ? 1 : numbers[3]];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = color => {
    const [r, g, b] = color.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const told = new Set();
  for (const {element, node} of texts) {
    const above = [];
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      above.unshift(channels(style.backgroundColor));
      opacity *= Number(style.opacity);
    }
    const back = above.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
    const ink = channels(getComputedStyle(element).color);
    const front = over([...ink.slice(0, 3), ink[3] * opacity], back);
    const [a, b] = [light(front), light(back)], ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const line = `${quote(node.data)} has a contrast of ${ratio.toFixed(1)}, and needs 4.5`;
    const kind = element.tagName + element.className + ratio.toFixed(1);
    if (ratio < 4.5 && !told.has(kind)) faults.push(line);
    told.add(kind);
  }
  return faults;
})()
