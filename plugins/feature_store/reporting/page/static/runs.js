// Runs, latest first.

import { read } from './api.js';
import { el } from './dom.js';
import { between, stamp, useZone, zoneName } from './format.js';
import { announce, runLink, table } from './parts.js';
import { badge, runState } from './states.js';

export const title = 'Runs';

export async function show(_, signal) {
  const first = await read('runs', { limit: 50 }, signal);
  useZone(first.zone);
  const heading = el('h2', { tabindex: '-1' }, 'Runs');
  if (!first.runs.length) return [heading, el('p', { class: 'calm' }, 'No run yet.')];
  const lists = el('div', { class: 'lists' }, listed(first.runs));
  const older = el('button', { type: 'button', class: 'plain', hidden: !first.more }, 'Older runs');
  let last = first.runs.at(-1);
  older.addEventListener('click', async () => {
    older.disabled = true;
    try {
      const next = await read('runs', { before: last.prepared_at, limit: 50 }, signal);
      last = next.runs.at(-1) ?? last;
      lists.querySelector('tbody').append(...listed(next.runs).querySelectorAll('tbody > tr'));
      older.hidden = !next.more;
      announce(`${next.runs.length} older runs.`);
    } catch (error) {
      if (error.name !== 'AbortError') announce(error.message);
    }
    older.disabled = false;
  });
  return [heading, lists, el('p', {}, older)];
}

function listed(runs) {
  return table(`Runs, times in ${zoneName()}`, [
    ['As of', (r) => runLink(r.dag_id, r.run_id, r.as_of_day), 'still'],
    ['Verdict', (r) => badge(runState(r)), 'still'],
    ['Began', (r) => stamp(r.prepared_at), 'still'],
    ['Took', (r) => between(r.prepared_at, r.verdict_at), 'number'],
    ['Expectations', (r) => expectations(r), 'still'],
    ['Kind', (r) => r.run_type],
    ['Problem', (r) => r.problem ?? '', 'words'],
  ], runs);
}

export function expectations(run) {
  const counts = [[run.broken, 'broken'], [run.errors, 'not checked'], [run.warnings, run.warnings === 1 ? 'warning' : 'warnings'], [run.met, 'met']];
  return counts.filter(([n]) => n > 0).map(([n, word]) => `${n} ${word}`).join(', ') || 'none';
}
