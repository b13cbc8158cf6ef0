// One run: how it ended, what was wrong, its relations, its tasks and its report.

import { read } from './api.js';
import { el } from './dom.js';
import { between, count, seconds, stamp, useZone, zoneName } from './format.js';
import { command, facts, findingTable, section, table } from './parts.js';
import { apart, airflowLink, pageAddress, runInAirflow } from './shell.js';
import { expectations } from './runs.js';
import { badge, expectationState, icon, runState, taskState } from './states.js';

export const title = 'Run';

export async function show({ dag_id: dagId, run_id: runId }, signal) {
  const told = await read('run', { dag_id: dagId, run_id: runId }, signal);
  useZone(told.zone);
  const { run } = told;
  const wrong = told.expectations.filter((e) => expectationState(e)[0] !== 'good');
  const met = told.expectations.filter((e) => expectationState(e)[0] === 'good');
  return [
    el('p', {}, el('a', { href: '#runs' }, 'All runs')),
    head(run, wrong),
    told.steps.length > 0 && section('What to do', told.steps.map(step)),
    section('What was wrong', wrong.length ? wrong.map(offence) : el('p', { class: 'calm' }, nothingWrong(run, met))),
    told.findings.length > 0 && section('Old days that changed', findingTable('Changes that this run found', told.findings)),
    section('Relations', refreshes(told.refreshes)),
    section('Tasks', tasks(told)),
    met.length > 0 && section('What was met', metTable(met)),
    section('Report', report(told.report)),
  ];
}

function head(run, wrong) {
  const [tone, word] = runState(run);
  return el(
    'section',
    { class: `verdict ${tone}`, 'aria-labelledby': 'run-title' },
    icon(tone),
    el(
      'div',
      {},
      el('p', { class: 'standing' }, word),
      el('h2', { id: 'run-title', tabindex: '-1' }, `The run of ${run.as_of_day}`),
      run.problem && el('p', { class: 'problem' }, wrong.length && run.cause ? run.cause : run.problem),
      facts([
        ['Run', runInAirflow(run.dag_id, run.run_id, run.run_id)],
        ['Kind', run.run_type],
        ['Began', `${stamp(run.prepared_at)} ${zoneName()}, took ${between(run.prepared_at, run.verdict_at)}`],
        ['Expectations', expectations(run)],
      ]),
    ),
  );
}

function step({ words, command: text }) {
  return el('div', { class: 'step' }, el('p', { class: 'break' }, words), text && command(text));
}

function nothingWrong(run, met) {
  if (met.length) return `Nothing: all ${count(met.length)} expectations were met.`;
  return run.verdict === 'failed' ? 'It failed before its expectations were checked.' : 'No expectation has been checked yet.';
}

function offence(e) {
  return el(
    'article',
    { class: `box edge ${expectationState(e)[0]}` },
    el('h4', {}, badge(expectationState(e)), ' ', el('span', { class: 'break' }, e.relation)),
    facts([['Expected', e.expected], ['Observed', e.observed], ['Check', `${e.suite}, ${e.expectation}`]]),
    e.sample.length > 0 && [el('p', { class: 'soft' }, 'Offending rows, at most 20:'), sample(e)],
  );
}

function sample({ expectation, sample: rows }) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return table(`Offending rows of ${expectation}`, columns.map((name) => [name, (row) => shown(row[name])]), rows);
}

function shown(value) {
  if (value === null || value === undefined) return el('span', { class: 'soft' }, 'NULL');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function refreshes(rows) {
  if (!rows.length) return el('p', { class: 'soft' }, 'It refreshed nothing.');
  return table('Relations as this run left them', [
    ['Relation', (r) => el('span', { title: r.relation, class: 'strong' }, r.label), 'still'],
    ['Rows', (r) => count(r.rows), 'number'],
    ['Took', (r) => (r.reused ? '–' : seconds(r.seconds)), 'number'],
    ['How', (r) => (r.reused ? `Not refreshed again: ${r.reused}` : `${r.mode}, finished ${stamp(r.finished_at)}`), 'words'],
  ], rows);
}

function tasks({ tasks: rows, tasks_words: words }) {
  if (!rows.length) return el('p', { class: 'soft' }, words || 'Airflow no longer has its tasks.');
  return [words && el('p', { class: 'soft' }, words), table('Tasks of this run, with links to Airflow', [
    ['Task', (t) => airflowLink(t.link, t.task_id), 'still'],
    ['State', (t) => badge(taskState(t.state)), 'still'],
    ['Tries', (t) => String(t.tries), 'number'],
    ['Began', (t) => (t.started_at ? stamp(t.started_at) : '–'), 'still'],
    ['Took', (t) => seconds(t.seconds), 'number'],
  ], rows)];
}

function metTable(met) {
  return el('details', { class: 'instead' }, el('summary', {}, `${count(met.length)} expectations, as a table`), table('Expectations that were met', [
    ['Suite', (e) => e.suite, 'still'],
    ['Expectation', (e) => e.expectation],
    ['Relation', (e) => e.relation],
    ['Expected', (e) => e.expected, 'words'],
    ['Observed', (e) => e.observed, 'words'],
  ], met));
}

// The report is a page of its own: in a frame without scripts, loaded when somebody opens it.
function report(path) {
  const box = el('details', { class: 'instead' }, el('summary', {}, 'The whole report, here'));
  box.addEventListener('toggle', () => {
    if (box.open && box.childElementCount === 1) {
      box.append(el('iframe', { sandbox: '', title: 'The report of this run', src: pageAddress(path).href }));
    }
  });
  return [el('p', {}, apart(path, 'Open the report by itself')), box];
}
