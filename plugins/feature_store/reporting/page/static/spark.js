// Small charts of lines and bars, drawn as SVG at once: no library, and in the colours of the theme.

import { el, svg } from './dom.js';

const WIDE = 96;
const HIGH = 22;

const known = (values) => values.map((value, i) => [i, value]).filter(([, value]) => value !== null);

// A line of values from 0 to `most`; a night without one is a gap. `words` describe the line.
export function spark(values, { most, words, tone = '' }) {
  const points = known(values);
  const step = values.length > 1 ? (WIDE - 4) / (values.length - 1) : 0;
  const at = ([i, value]) => [2 + i * step, HIGH - 2 - Math.min(value / (most || 1), 1) * (HIGH - 4)].map((n) => n.toFixed(1));
  const last = points.length ? at(points.at(-1)) : null;
  return el('span', { class: `spark ${tone}` }, svg(
    'svg',
    { viewBox: `0 0 ${WIDE} ${HIGH}`, width: WIDE, height: HIGH, role: 'img', 'aria-label': words },
    svg('path', { class: 'ground', d: `M2 ${HIGH - 2}H${WIDE - 2}` }),
    points.length > 1 && svg('path', { class: 'line', d: `M${points.map((point) => at(point).join(' ')).join('L')}` }),
    last && svg('circle', { class: 'end', cx: last[0], cy: last[1], r: 2 }),
  ));
}

// Two bars a row: the share now, and the share then as an outline around it.
export function pairOfBars(now, then, most) {
  const wide = (share) => `${Math.max((share / (most || 1)) * 100, share > 0 ? 0.6 : 0).toFixed(2)}%`;
  return svg(
    'svg',
    { class: 'bars', width: '100%', height: 18, 'aria-hidden': 'true', focusable: 'false' },
    svg('rect', { class: 'now', x: 0, y: 3, width: wide(now), height: 7 }),
    svg('rect', { class: 'then', x: 0, y: 12, width: wide(then), height: 4 }),
  );
}
