// Every night in a calendar: how its latest run ended.

import { chart, tooltip } from './charts.js';
import { el } from './dom.js';
import { dayNumber, dayText, plural } from './format.js';
import { runHash, runLink, tableInstead } from './parts.js';
import { badge, runState } from './states.js';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const SHORT_SPAN = 120;
const NARROW = 640;
const SIGNS = { good: '', warn: '!', bad: '×', info: '…' };

export function calendar(nights, signal) {
  if (!nights.runs.length) return el('p', { class: 'soft' }, 'No run in this span, so no night to show.');
  const days = byDay(nights.runs);
  const years = yearsOf(nights.since, nights.until);
  const summary = words(nights.runs, nights.since, nights.until);
  return [
    el('p', { class: 'soft' }, 'Each night by its latest run; choose one to open it. ', legend()),
    el('div', { class: 'calendars' }, years.map(([from, to]) => oneYear(from, to, days, signal))),
    el('p', { class: 'unseen' }, summary),
    tableInstead('Nights', [
      ['Day', ([day]) => day, 'still'],
      ['Latest run', ([, runs]) => runLink(runs.at(-1).dag_id, runs.at(-1).run_id)],
      ['Verdict', ([, runs]) => badge(runState(runs.at(-1)))],
      ['Runs', ([, runs]) => String(runs.length), 'number'],
    ], [...days].reverse()),
  ];
}

function byDay(runs) {
  return Map.groupBy(runs, (run) => run.as_of_day);
}

// Years that end with the last night, the latest first.
function yearsOf(since, last) {
  const [first, final] = [dayNumber(since), dayNumber(last)];
  const years = [];
  for (let to = final; to >= first; to -= 365) years.push([dayText(Math.max(first, to - 364)), dayText(to)]);
  return years.length > 1 && years.at(-1)[0] === years.at(-1)[1] ? years.slice(0, -1) : years;
}

function words(runs, since, last) {
  const ends = Map.groupBy(runs, (run) => runState(run)[1]);
  return `Nights from ${since} to ${last}: ${[...ends].map(([word, found]) => `${found.length} ${word.toLowerCase()}`).join(', ')}.`;
}

function legend() {
  return el('span', { class: 'legend' }, [['met', '', 'all met'], ['warned', '!', 'a warning'], ['broken', '×', 'failed'], ['none', '', 'no run']]
    .map(([kind, sign, word]) => el('span', {}, el('span', { class: `swatch ${kind}`, 'aria-hidden': 'true' }, sign), word)));
}

function oneYear(from, to, days, signal) {
  const cells = [];
  for (let day = dayNumber(from); day <= dayNumber(to); day += 1) {
    const runs = days.get(dayText(day));
    cells.push({ value: [dayText(day), 0], runs });
  }
  const weeks = Math.ceil((cells.length + 7) / 7);
  const long = cells.length > SHORT_SPAN;
  return el('figure', {}, el('figcaption', {}, `${from} to ${to}`), chart({
    summary: `How each night from ${from} to ${to} ended; the table below has the same.`,
    height: (width) => (width < NARROW && long ? weeks * 15 + 30 : 7 * 15 + 26),
    signal,
    option: (c, width) => option(c, width, from, to, cells, weeks),
    onClick: ({ data }) => data.runs && (window.location.hash = runHash(data.runs.at(-1).dag_id, data.runs.at(-1).run_id)),
  }));
}

function option(c, width, from, to, cells, weeks) {
  const narrow = width < NARROW && cells.length > SHORT_SPAN;
  const size = narrow ? 15 : Math.max(8, Math.min(17, Math.floor((width - 40) / weeks)));
  const label = { color: c.soft, fontSize: 11 };
  const fills = { good: c.met, warn: c.warned, bad: c.broken, info: c.info };
  return {
    tooltip: tooltip(c, ({ data }) => told(data)),
    calendar: {
      range: [from, to], orient: narrow ? 'vertical' : 'horizontal', left: narrow ? 40 : 34, top: 20, cellSize: [narrow ? 22 : size, 15],
      splitLine: { lineStyle: { color: c.soft, width: 1 } }, yearLabel: { show: false },
      itemStyle: { color: c.panel, borderColor: c.line, borderWidth: 1 },
      dayLabel: { ...label, firstDay: 1, nameMap: narrow ? ['S', 'M', 'T', 'W', 'T', 'F', 'S'] : ['', 'Mon', '', 'Wed', '', 'Fri', ''] },
      monthLabel: { ...label, nameMap: MONTHS },
    },
    series: [{
      type: 'heatmap', coordinateSystem: 'calendar',
      data: cells.filter((cell) => cell.runs).map((cell) => {
        const [tone] = runState(cell.runs.at(-1));
        return { ...cell, itemStyle: { color: fills[tone], borderColor: c.panel, borderWidth: 1 }, label: sign(c, tone) };
      }),
      emphasis: { itemStyle: { borderColor: c.ink, borderWidth: 1 } },
    }],
  };
}

function sign(c, tone) {
  return { show: SIGNS[tone] !== '', formatter: SIGNS[tone], color: tone === 'bad' ? c.panel : c.on_warned, fontSize: 11, fontWeight: 'bold' };
}

function told({ value: [day], runs }) {
  const run = runs.at(-1);
  const counts = [[run.met, 'met'], [run.warnings, 'warning'], [run.broken, 'broken'], [run.errors, 'not checked']];
  const lines = [`${day}: ${runState(run)[1]}`, counts.filter(([n]) => n).map(([n, word]) => `${n} ${word}`).join(', ')];
  if (runs.length > 1) lines.push(`${plural(runs.length, 'run')} of this day`);
  return lines.filter(Boolean).join('\n');
}
