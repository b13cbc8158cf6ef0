// The store as it stands: the verdict first, then the graph, the contracts, and what waits for a person.

import { read } from './api.js';
import { contractCards, exceptionList } from './contracts.js';
import { el } from './dom.js';
import { between, plural, stamp, time, useZone, zoneName } from './format.js';
import { nextStep, runLink, section } from './parts.js';
import { pastList } from './reviews.js';
import { storeGraph } from './relations.js';
import { badge, icon, runState, standing } from './states.js';

export const title = 'Now';

export async function show(_, signal) {
  const now = await read('now', {}, signal);
  useZone(now.zone);
  return [
    verdict(now),
    el('div', { class: 'pair' }, latest(now), underWay(now)),
    ...pastList(now.leaks, now.reviews),
    section('Relations', graphHint(now), storeGraph(now, signal)),
    section('Contracts', contractCards(now.contracts)),
    section('Declared exceptions', exceptionList(now.exceptions)),
  ];
}

function verdict({ verdict: told, read_at: readAt, certified_words: certified }) {
  const [tone, word] = standing(told.standing);
  return el(
    'section',
    { class: `verdict ${tone}`, 'aria-labelledby': 'verdict' },
    icon(tone),
    el(
      'div',
      {},
      el('p', { class: 'standing' }, word),
      el('h2', { id: 'verdict', tabindex: '-1' }, told.words),
      el('p', { class: 'soft' }, `${told.standing === 'certified' ? '' : `Certified: ${certified} `}Read ${stamp(readAt)} ${zoneName()}.`),
      told.next_step && nextStep(told.next_step),
    ),
  );
}

function latest({ latest: run, read_at: readAt }) {
  if (!run) return el('p', {}, el('span', { class: 'soft' }, 'Latest run: '), 'none yet.');
  return el(
    'p',
    {},
    el('span', { class: 'soft' }, 'Latest run: '),
    runLink(run.dag_id, run.run_id, `of ${run.as_of_day}`),
    ' ', badge(runState(run)), ' ',
    el('span', { class: 'soft' }, time(run.prepared_at, readAt), `, took ${between(run.prepared_at, run.verdict_at)}`),
    run.problem && el('span', { class: 'problem' }, run.problem),
  );
}

function underWay({ under_way: run }) {
  return run && el('p', {}, badge(['info', 'Under way']), ' ', el('span', { class: 'break' }, run));
}

function graphHint({ relations, sources }) {
  return el(
    'p',
    { class: 'soft' },
    `${plural(relations.length, 'relation')} of ${plural(sources.length, 'source')}, joined by what their SQL reads. Choose one to see more.`,
  );
}
