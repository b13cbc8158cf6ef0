// Rows and seconds of each relation: small lines above each other on one time axis. Pointing at one
// shows that night in all of them.

import { chart } from './charts.js';
import { el } from './dom.js';
import { bytes, count, dayNumber, dayOf, seconds, shortCount, stamp } from './format.js';
import { tableInstead } from './parts.js';

const DAY = 86400000;
const LEFT = 46;
const RIGHT = 8;
const HEIGHT = 52;

export function growth(nights, signal) {
  const filled = nights.relations.filter((r) => r.finished_at.length > 0);
  if (!filled.length) return el('p', { class: 'soft' }, 'No refresh in this span, so no line to draw.');
  const first = dayNumber(nights.since) * DAY;
  const last = Math.max(...filled.map((r) => Date.parse(r.finished_at.at(-1))));
  const night = el('span', { class: 'still' });
  const rows = filled.map((relation) => line(relation, first, last, signal));
  const box = el(
    'div',
    { class: 'growth' },
    el('div', { class: 'growth-head' }, night, el('span', {}, 'Rows'), el('span', {}, 'Seconds')),
    rows.map((row) => row.node),
    el('div', { class: 'growth-foot', 'aria-hidden': 'true' }, el('span'), axis(first, last), axis(first, last)),
  );
  follow(box, rows, night, first, last);
  return [
    el('p', { class: 'soft' }, 'Each line of rows has its own scale. Seconds start at zero.'),
    box,
    el('details', { class: 'instead' }, el('summary', {}, 'Refreshes, as tables'), filled.map((relation) => tableInstead(`Refreshes of ${relation.label}`, [
      ['Finished', (i) => stamp(relation.finished_at[i]), 'still'],
      ['Rows', (i) => count(relation.rows[i]), 'number'],
      ['Size', (i) => bytes(relation.bytes[i]), 'number'],
      ['Took', (i) => seconds(relation.seconds[i]), 'number'],
    ], [...relation.rows.keys()].reverse()))),
  ];
}

function line(relation, first, last, signal) {
  const rows = el('span', { class: 'value' });
  const took = el('span', { class: 'value' });
  const times = relation.finished_at.map((iso) => Date.parse(iso));
  const tell = (i) => {
    rows.textContent = `${count(relation.rows[i])} rows`;
    took.textContent = seconds(relation.seconds[i]);
  };
  tell(times.length - 1);
  const node = el(
    'div',
    { class: 'growth-row' },
    el('h4', { title: relation.name }, relation.label, el('span', { class: 'values' }, rows, took)),
    small(`Rows of ${relation.label}`, times, relation.rows, count, shortCount, false, first, last, signal),
    small(`Seconds of ${relation.label}`, times, relation.seconds, seconds, seconds, true, first, last, signal),
  );
  return { node, times, relation, tell };
}

function small(name, times, values, exact, short, fromNought, first, last, signal) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const low = fromNought ? 0 : least - (least === most ? 1 : 0);
  const high = most === low ? low + 1 : most;
  return chart({
    summary: `${name}: ${exact(values[0])} at first, ${exact(values.at(-1))} at last, least ${exact(least)}, most ${exact(most)}.`,
    height: HEIGHT,
    signal,
    option: (c) => ({
      grid: { left: LEFT, right: RIGHT, top: 8, bottom: 8 },
      xAxis: { type: 'time', min: first, max: last, show: false },
      yAxis: {
        type: 'value', min: low, max: high, interval: high - low, axisLine: { show: false }, axisTick: { show: false },
        axisLabel: { color: c.soft, fontSize: 10, formatter: short }, splitLine: { lineStyle: { color: c.line } },
      },
      series: [{
        type: 'line', data: times.map((t, i) => [t, values[i]]), showSymbol: times.length === 1, symbolSize: 4, silent: true,
        lineStyle: { width: 1.5, color: c.series }, itemStyle: { color: c.series },
        areaStyle: fromNought ? { color: c.series, opacity: 0.12 } : undefined,
      }],
    }),
  });
}

// The one time axis, as text: months for a long span, days for a short one.
function axis(first, last) {
  const days = (last - first) / DAY;
  const ticks = [0, 0.5, 1].map((share) => {
    const day = dayOf(new Date(first + share * (last - first)).toISOString());
    return el('span', {}, days > 120 ? day.slice(0, 7) : day);
  });
  return el('span', { class: 'axis' }, ticks);
}

// The night under the mouse: its numbers beside each line, and a rule through all of them.
function follow(box, rows, night, first, last) {
  const rest = () => {
    box.classList.remove('pointing');
    night.textContent = 'The latest';
    for (const row of rows) row.tell(row.times.length - 1);
  };
  box.addEventListener('pointermove', (event) => {
    const drawn = event.target.closest?.('.chart');
    if (!drawn) return;
    const { left, width } = drawn.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left - LEFT) / (width - LEFT - RIGHT)));
    const at = first + share * (last - first);
    night.textContent = dayOf(new Date(at).toISOString());
    box.style.setProperty('--at', `${LEFT + share * (width - LEFT - RIGHT)}px`);
    box.classList.add('pointing');
    for (const row of rows) row.tell(nearest(row.times, at));
  });
  box.addEventListener('pointerleave', rest);
  rest();
}

function nearest(times, at) {
  const after = times.findIndex((t) => t >= at);
  if (after === -1) return times.length - 1;
  return after > 0 && at - times[after - 1] < times[after] - at ? after - 1 : after;
}
