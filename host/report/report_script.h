// What makes the page of a report answer: values under a pointer or the arrow keys, attention step by step, and a page
// that loads itself again while its run goes on. It reads the JSON beside it and makes no markup of what it reads.
#pragma once

inline constexpr const char* report_script = R"JS(
'use strict';
const page = JSON.parse(document.getElementById('data').textContent);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const within = (x, low, high) => Math.min(Math.max(x, low), high);
const grouped = n => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

// What a reload keeps: where the reader was.
const place = 'place of ' + location.pathname;
let kept = {};
try { kept = JSON.parse(sessionStorage.getItem(place)) || {}; } catch (error) { kept = {}; }
const keep = (key, value) => {
  kept[key] = value;
  try { sessionStorage.setItem(place, JSON.stringify(kept)); } catch (error) { /* a reload begins anew then */ }
};

// ---- charts: one step is shown in all of them ----
const steps = page.step, last = steps.length - 1, charts = all('.chart');
const compact = x => {
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']])
    if (x >= size) return (x / size).toPrecision(3) + unit;
  return String(Math.round(x));
};
const clock = s => {
  const two = n => String(Math.floor(n)).padStart(2, '0');
  return (s >= 3600 ? Math.floor(s / 3600) + ':' + two(s / 60 % 60) : Math.floor(s / 60)) + ':' + two(s % 60);
};
const finite = (x, text) => x === null || x === undefined ? 'not finite' : text(x);
const significant = x => String(Number(x.toPrecision(3)));
const loss = (x, i) => finite(x, y => y.toFixed(4)) + (page.left_out[i] ? ', left out' : '');
const words = {
  step: x => grouped(x), loss, smooth: x => finite(x, y => y.toFixed(4)), lr: x => finite(x, significant),
  norm: x => finite(x, significant), norm_smooth: x => finite(x, significant), rate: x => finite(x, compact),
  seconds: x => finite(x, clock), mfu: x => finite(x, y => (100 * y).toFixed(1) + '%')
};
const validation = step => {
  let found = null;
  for (const one of page.val) if (one[0] <= step) found = one;
  return found ? finite(found[1], y => y.toFixed(4)) + ' at ' + grouped(found[0]) : 'none yet';
};
const nearest = step => {
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle; else high = middle;
  }
  return last >= 0 && Math.abs(steps[low] - step) <= Math.abs(steps[high] - step) ? low : high;
};
let chosen = last;
const show = (i, visible) => {
  chosen = within(i, 0, last);
  for (const chart of charts) {
    for (const value of all('[data-value]', chart)) {
      const key = value.dataset.value;
      if (key === 'val') value.textContent = validation(steps[chosen]);
      else if (words[key]) value.textContent = words[key](page[key][chosen], chosen);
    }
    const d = chart.dataset, x = (steps[chosen] - d.x0) / (d.x1 - d.x0), there = page[d.dot][chosen];
    const y = (d.y1 - there) / (d.y1 - d.y0), cross = chart.querySelector('.cross'), dot = chart.querySelector('.dot');
    cross.hidden = !visible || x < 0 || x > 1;
    dot.hidden = cross.hidden || there === null || y < 0 || y > 1;
    cross.style.left = dot.style.left = 100 * x + '%';
    dot.style.top = 100 * y + '%';
    const plot = chart.querySelector('.plot');
    plot.setAttribute('aria-valuenow', chosen);
    plot.setAttribute('aria-valuetext', chart.querySelector('.readout').textContent.replace(/\s+/g, ' ').trim());
  }
};
if (last >= 0) for (const chart of charts) {
  const plot = chart.querySelector('.plot'), d = chart.dataset;
  const label = plot.getAttribute('aria-label');
  for (const [name, value] of Object.entries({role: 'slider', tabindex: 0, 'aria-valuemin': 0, 'aria-valuemax': last,
    'aria-label': label + '. Arrow keys choose a step.'})) plot.setAttribute(name, value);
  const point = event => {
    const box = plot.getBoundingClientRect(), part = within((event.clientX - box.left) / box.width, 0, 1);
    show(nearest(Number(d.x0) + part * (d.x1 - d.x0)), true);
  };
  plot.addEventListener('pointermove', point);
  plot.addEventListener('pointerdown', point);
  plot.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') show(last, false); });
  plot.addEventListener('blur', () => show(last, false));
  plot.addEventListener('keydown', event => {
    const far = Math.max(1, Math.round(last / 20));
    const by = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: far, PageDown: -far,
      Home: -last, End: last}[event.key];
    if (by === undefined) return;
    event.preventDefault();
    show(chosen + by, true);
  });
}
if (last >= 0) show(last, false);

// ---- attention: layer, head and token are chosen; the maps are in the pictures ----
const explorer = document.getElementById('explorer'), inside = page.attention;
// The rows of an indexed PNG whose bytes are stored as they are (png.h).
const probabilities = (image, T) => {
  const bytes = atob(image.src.split(',')[1]), begin = bytes.indexOf('IDAT') + 11;
  return (t, s) => (bytes.charCodeAt(begin + t * (T + 1) + 1 + s) / 255) ** 2;
};
const percent = p => (100 * p).toFixed(1) + '%';
const fill = (list, rows) => list.replaceChildren(...rows.map(([text, p, came]) => {
  const row = document.createElement('li'), bar = document.createElement('b'), number = document.createElement('span');
  bar.textContent = text;
  bar.title = text;
  bar.style.setProperty('--p', percent(p));
  number.textContent = percent(p);
  if (came) row.className = 'came';
  row.append(bar, number);
  return row;
}));
if (explorer && inside) {
  const T = inside.tokens.length, sizes = {layer: inside.layers, head: inside.heads, token: T};
  const at = {layer: 0, head: 0, token: T - 1};
  for (const key of Object.keys(at)) if (kept[key] >= 0 && kept[key] < sizes[key]) at[key] = kept[key];
  const tokens = all('.tokens button', explorer), map = explorer.querySelector('.map'), thumbs = all('.thumb');
  const draw = () => {
    const thumb = thumbs[at.layer * inside.heads + at.head], image = thumb.querySelector('img');
    const p = probabilities(image, T), t = at.token;
    map.querySelector('img').src = image.src;
    map.querySelector('img').alt = image.alt;
    map.querySelector('i').style.cssText = `top: ${100 * t / T}%; height: ${100 / T}%`;
    for (const key of Object.keys(at)) {
      explorer.querySelector(`[data-of=${key}] output`).textContent = `${key} ${at[key] + 1} of ${sizes[key]}`;
      keep(key, at[key]);
    }
    thumbs.forEach(other => other.setAttribute('aria-pressed', other === thumb));
    tokens.forEach((token, s) => {
      token.setAttribute('aria-pressed', s === t);
      token.tabIndex = s === t ? 0 : -1;
      token.classList.toggle('later', s > t);
      token.style.background = s <= t ? `rgba(var(--field), ${(0.6 * Math.sqrt(p(t, s))).toFixed(3)})` : '';
    });
    const seen = inside.tokens.slice(0, t + 1).map((text, s) => [`#${s + 1}  ${text}`, p(t, s)]);
    fill(explorer.querySelector('.looks'), seen.sort((a, b) => b[1] - a[1]).slice(0, 5));
    fill(explorer.querySelector('.expects'), inside.next[t].map(
      ([text, probability]) => [text, probability, t + 1 < T && text === inside.tokens[t + 1]]));
    explorer.querySelector('.who').textContent = inside.tokens[t];
    explorer.querySelector('.came-next').textContent = t + 1 < T ?
      `came next: ${inside.tokens[t + 1]} (${percent(inside.probability[t])})` : 'the text ends here';
  };
  const go = (key, to) => { at[key] = within(to, 0, sizes[key] - 1); draw(); };
  for (const key of Object.keys(at))
    all(`[data-of=${key}] button`, explorer).forEach((button, forward) => button.addEventListener('click', () =>
      go(key, (at[key] + (forward ? 1 : sizes[key] - 1)) % sizes[key])));
  tokens.forEach((token, s) => {
    token.addEventListener('click', () => go('token', s));
    token.addEventListener('keydown', event => {
      const by = {ArrowRight: 1, ArrowLeft: -1, Home: -T, End: T}[event.key];
      if (by === undefined) return;
      event.preventDefault();
      go('token', s + by);
      tokens[at.token].focus();
    });
  });
  thumbs.forEach((thumb, i) => thumb.addEventListener('click', () => {
    at.layer = Math.floor(i / inside.heads);
    go('head', i % inside.heads);
  }));
  map.addEventListener('pointermove', event => {
    const box = map.getBoundingClientRect();
    go('token', Math.floor((event.clientY - box.top) / box.height * T));
  });
  explorer.hidden = false;
  draw();
}
all('details').forEach((details, i) => {
  if (kept['open ' + i] !== undefined) details.open = kept['open ' + i];
  details.addEventListener('toggle', () => keep('open ' + i, details.open));
});

// ---- while the run goes on ----
if (page.reload) {
  let touched = 0;
  for (const kind of ['pointermove', 'pointerdown', 'keydown']) addEventListener(kind, () => { touched = Date.now(); });
  const stale = Date.now() / 1000 - page.written > 60 + 10 * page.reload;
  if (stale) document.getElementById('stale').hidden = false;
  const again = () => {  // nobody loses what they look at
    if (document.hidden || Date.now() - touched < 3000) setTimeout(again, 1000);
    else location.reload();
  };
  if (!stale) setTimeout(again, 1000 * page.reload);
}
)JS";
