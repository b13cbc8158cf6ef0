// Old days that changed, by day and layer. If all is well the chart is empty, so that anything in
// it is noticed.

import { chart, tooltip } from './charts.js';
import { el } from './dom.js';
import { count, dayNumber, dayText, plural } from './format.js';
import { FINDING_COLUMNS, findingTable, isOpen, moved, tableInstead } from './parts.js';

const WIDTHS = [1, 7, 14, 28, 91, 365];
const LEAST_PIXELS = 9;
const ROW = 26;
const gutter = (width) => (width < 500 ? 72 : 104);

// What may not change. Other changes are declared (an exception) or ordered (a new definition).
const MOVES = ['leak', 'review'];

export function pastMap(nights, signal) {
  const { findings } = nights;
  const moves = findings.filter((f) => MOVES.includes(f.kind) && f.day !== null);
  const rest = findings.length - moves.length + nights.more_exceptions;
  const only = nights.more_exceptions > 0 ? 'the latest of them shown in the table' : 'shown only in the table';
  const chosen = el('div', { 'aria-live': 'polite' });
  return [
    moves.length > 0 && [
      el('p', {}, sentence(moves)),
      el('p', { class: 'soft' }, 'Across: the day that changed. Down: its layer. A stronger colour means more rows. All changes that runs found in this span, however old their day is. ', legend()),
      field(nights, moves, chosen, signal),
      chosen,
    ],
    moves.length === 0 && el('p', { class: 'calm' }, 'No old day has changed in this span.'),
    rest > 0 && el('p', { class: 'soft' }, `${plural(rest, 'more change')} for a declared reason (an exception, a new definition), ${only}.`),
    findings.length > 0 && tableInstead('Changes of old days', FINDING_COLUMNS, [...findings].reverse()),
  ];
}

function sentence(moves) {
  const days = new Set(moves.map((f) => f.day)).size;
  const layers = new Set(moves.map((f) => f.layer)).size;
  const leaks = moves.filter((f) => f.kind === 'leak').length;
  const open = moves.filter((f) => isOpen(f) && f.kind !== 'leak').length;
  const waits = open === 1 ? '1 change waits' : `${open || 'no'} changes wait`;
  const leaked = leaks === 0 ? 'no leak' : plural(leaks, 'leak');
  return `${plural(days, 'old day')} changed, in ${plural(layers, 'layer')}: ${leaked}, ${waits} for a person.`;
}

function legend() {
  return el('span', { class: 'legend' }, [['closed', '', 'accepted or reported'], ['open', '', 'waits for a person'], ['leak', '×', 'a leak: moved without cause']]
    .map(([kind, sign, word]) => el('span', {}, el('span', { class: `swatch ${kind}`, 'aria-hidden': 'true' }, sign), word)));
}

// Layers from the sources on, in the store's order, also those without changes.
function layersOf(relations, moves) {
  const order = new Map(relations.map((r, i) => [r.name, i]));
  const quiet = relations.filter((r) => !moves.some((f) => f.relation === r.name)).map((r) => [r.label, order.get(r.name)]);
  const moving = moves.map((f) => [f.layer, order.get(f.relation) ?? relations.length]);
  return [...new Map([...quiet, ...moving])].sort((a, b) => a[1] - b[1]).map(([name]) => name);
}

function field({ relations, since, until }, moves, chosen, signal) {
  const days = [...moves.map((f) => f.day), ...moves.map((f) => f.found_at.slice(0, 10)), until];
  const layers = layersOf(relations, moves);
  const first = Math.min(...days.map(dayNumber), dayNumber(since));
  const last = Math.max(...days.map(dayNumber));
  return chart({
    summary: `${sentence(moves)} The table below lists each.`,
    height: layers.length * ROW + 34,
    signal,
    option: (c, width) => option(c, width, { first, last, layers, findings: moves }),
    onClick: ({ data }) => chosen.replaceChildren(findingTable(`Changes of ${data.span} in ${data.layer}`, data.findings)),
  });
}

// Bins wide enough to be seen: days, weeks, months.
function binned({ first, last, findings }, width) {
  const most = Math.floor((width - gutter(width)) / LEAST_PIXELS);
  const size = WIDTHS.find((days) => (last - first + 1) / days <= most) ?? WIDTHS.at(-1);
  const number = Math.floor((last - first) / size) + 1;
  const start = last - number * size + 1;
  const starts = Array.from({ length: number }, (_, i) => dayText(start + i * size));
  const cells = Map.groupBy(findings, (f) => `${Math.floor((dayNumber(f.day) - start) / size)} ${f.layer}`);
  return { size, starts, cells: [...cells.values()].map((members) => [Math.floor((dayNumber(members[0].day) - start) / size), members]) };
}

function option(c, width, past) {
  const { size, starts, cells } = binned(past, width);
  const data = cells.map(([bin, members]) => cell(c, bin, members, past.layers, starts, size));
  const text = { color: c.soft, fontSize: 11 };
  const most = Math.max(...data.map((d) => d.value[2]), 1);
  return {
    grid: { left: gutter(width), right: 8, top: 4, bottom: 28, show: true, backgroundColor: c.subtle, borderColor: c.line },
    tooltip: tooltip(c, ({ data: d }) => told(d)),
    visualMap: { show: false, min: 0, max: most, dimension: 2, seriesIndex: 0, inRange: { color: [c.heat_low, c.heat_high] } },
    xAxis: {
      type: 'category', data: starts, axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false },
      axisLabel: { ...text, hideOverlap: true, showMinLabel: false, formatter: (day) => (size >= 28 ? day.slice(0, 7) : day) },
    },
    yAxis: {
      type: 'category', data: past.layers, inverse: true, axisLine: { show: false }, axisTick: { show: false },
      axisLabel: { ...text, width: gutter(width) - 10, overflow: 'truncate' }, splitLine: { show: true, lineStyle: { color: c.line } },
    },
    series: [
      { type: 'heatmap', data: data.filter((d) => !d.leak), emphasis: { itemStyle: { borderColor: c.ink, borderWidth: 2 } } },
      { type: 'heatmap', data: data.filter((d) => d.leak), emphasis: { itemStyle: { borderColor: c.ink, borderWidth: 2 } } },
    ],
  };
}

function cell(c, bin, findings, layers, starts, size) {
  const leak = findings.some((f) => f.kind === 'leak');
  const open = findings.some(isOpen);
  const rows = findings.reduce((sum, f) => sum + f.came + f.went + f.changed, 0);
  const from = starts[bin];
  const to = dayText(dayNumber(from) + size - 1);
  const faded = open ? 1 : 0.55;
  const border = open ? { borderColor: c.warn, borderWidth: 2 } : { borderColor: c.subtle, borderWidth: 1 };
  return {
    value: [bin, layers.indexOf(findings[0].layer), Math.log10(rows + 1)],
    leak, rows, findings, layer: findings[0].layer, span: size === 1 ? from : `${from} to ${to}`,
    itemStyle: leak ? { color: c.broken, borderColor: c.bad, borderWidth: 2 } : { ...border, opacity: faded },
    label: { show: leak, formatter: '×', color: c.panel, fontWeight: 'bold', fontSize: 14 },
  };
}

function told({ findings, layer, rows, span, leak }) {
  const open = findings.filter(isOpen).length;
  const lines = [`${layer}, ${span}`, `${count(rows)} rows on ${plural(new Set(findings.map((f) => f.day)).size, 'day')}`];
  if (findings.length === 1) lines.push(`${findings[0].day}: ${moved(findings[0])}`);
  if (leak) lines.push('A leak: moved without cause');
  lines.push(open ? `${open} open` : 'accepted or reported');
  return lines.join('\n');
}
