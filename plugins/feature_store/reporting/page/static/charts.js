// Apache ECharts, loaded by the first chart that is drawn. The charts follow the theme and the size of
// their box, are not animated, and draw on a canvas only: data never becomes HTML.

import { el } from './dom.js';
import { colour, onTheme } from './theme.js';

let loading = null;

async function library() {
  loading ??= import('./echarts.min.js').then(() => globalThis.echarts);
  return loading;
}

// The colours of a chart, from page.css, in the current theme.
function colours() {
  const names = ['ink', 'soft', 'line', 'panel', 'subtle', 'warn', 'bad', 'info', 'series', 'heat-low', 'heat-high', 'met', 'warned', 'on-warned', 'broken'];
  return Object.fromEntries(names.map((name) => [name.replaceAll('-', '_'), colour(`--${name}`)]));
}

// A chart in a box of `height` pixels: a number, or a function of the width. `summary` says in words
// what it shows. `option` makes ECharts'
// option of the colours and of the box's width; it is asked again when either changes.
export function chart({ summary, height, option, signal, onClick, ready }) {
  const box = el('div', { class: 'chart', role: 'img', 'aria-label': summary });
  const tall = (width) => { box.style.height = `${typeof height === 'function' ? height(width) : height}px`; };
  tall(window.innerWidth);
  draw(box, tall, option, signal, onClick).then((drawn) => drawn && ready?.(drawn));
  return box;
}

async function draw(box, tall, option, signal, onClick) {
  const echarts = await library();
  if (signal.aborted) return null;
  const drawn = echarts.init(box, null, { renderer: 'canvas' });
  let width = 0;
  const set = () => drawn.setOption({ ...common(), ...option(colours(), drawn.getWidth()) }, { notMerge: true });
  const fit = () => {
    if (signal.aborted || box.clientWidth === width || box.clientWidth === 0) return;
    width = box.clientWidth;
    tall(width);
    drawn.resize();
    set();
  };
  if (onClick) drawn.on('click', onClick);
  const observer = new ResizeObserver(() => requestAnimationFrame(fit));
  observer.observe(box);
  onTheme(set, signal);
  signal.addEventListener('abort', () => {
    observer.disconnect();
    drawn.dispose();
  });
  fit();
  return drawn;
}

function common() {
  const font = getComputedStyle(document.body).fontFamily;
  return { animation: false, textStyle: { fontFamily: font }, aria: { enabled: false } };
}

// What a chart says about the point under the mouse, drawn on the canvas itself.
export function tooltip(c, formatter) {
  return {
    renderMode: 'richText', confine: true, formatter, backgroundColor: c.panel, borderColor: c.line,
    borderWidth: 1, padding: 8, textStyle: { color: c.ink, fontSize: 12, lineHeight: 17 },
  };
}
