// The store over time: nights as a calendar, changed days of the past, rows and seconds of each relation.

import { read } from './api.js';
import { calendar } from './calendar.js';
import { el } from './dom.js';
import { dayNumber, plural, useZone } from './format.js';
import { growth } from './growth.js';
import { choice, section } from './parts.js';
import { pastMap } from './past.js';

export const title = 'Over time';

const SPANS = [['90', '90 nights'], ['365', 'a year'], ['730', 'two years']];
let span = '365';

export async function show(_, signal, again) {
  const nights = await read('nights', { days: span }, signal);
  useZone(nights.zone);
  const spans = choice('How far back', SPANS, span, (chosen) => {
    span = chosen;
    again();
  });
  return [
    el('div', { class: 'head' }, el('h2', { tabindex: '-1' }, 'Over time'), spans),
    el('p', { class: 'lead' }, sentence(nights)),
    section('Old days that changed', pastMap(nights, signal)),
    section('Nights', calendar(nights, signal)),
    section('Rows and seconds', growth(nights, signal)),
  ];
}

function sentence({ runs, findings, since, until }) {
  if (!runs.length) return `No run since ${since}.`;
  const failed = runs.filter((run) => run.verdict === 'failed').length;
  const warned = runs.filter((run) => run.verdict === 'passed' && run.warnings > 0).length;
  const days = dayNumber(until) - dayNumber(since) + 1;
  const leaks = findings.filter((f) => f.kind === 'leak').length;
  const parts = [
    `${plural(runs.length, 'run')} in ${plural(days, 'night')}: ${failed || 'none'} failed, ${warned || 'none'} with a warning`,
    leaks ? `${plural(leaks, 'leak')} found` : 'no leak found',
  ];
  return `${parts.join('; ')}.`;
}
