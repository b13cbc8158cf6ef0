// What the values of one feature look like: now against the stamp, by month of t₀, and how far they drift.

import { el } from './dom.js';
import { count, percent, plural, stamp } from './format.js';
import { copyButton, facts, runLink, section, table, tableInstead } from './parts.js';
import { pairOfBars, spark } from './spark.js';

const number = (value) => (value === null || value === undefined ? '–' : Number(value.toPrecision(5)).toLocaleString('en-GB', { maximumFractionDigits: 6 }));
const distance = (value) => (value === null || value === undefined ? 'not measured' : value.toFixed(2));
const month = (day) => day.slice(0, 7);

export function profileSections(feature, profile) {
  return [
    section('Values', values(feature, profile)),
    profile.of && profile.bins.length > 0 && section('Now against the stamp', distribution(feature, profile)),
    profile.months.length > 0 && section('By month of t₀', byMonth(feature, profile.months)),
    profile.bins.length > 0 && section('Drift', drift(profile)),
    section(
      'To read it',
      el('p', { class: 'soft' }, 'In SQL, as one transaction: no refresh can come between the question and the rows.'),
      lines('SQL', profile.lines),
      el('p', { class: 'soft' }, 'In Python: as certified now, and as it was served beside its labels. "" takes the database of PGHOST and the like; a connection string works, too.'),
      lines('Python', profile.python),
    ),
    profile.samples.length > 0 && section('Values as they were served', samples(feature, profile.samples)),
    profile.samples_grant && section(
      'Values as they were served',
      el('p', { class: 'soft' }, 'The page\'s login may not read them. After this, by an administrator, all who may read the DAG can. include/roles.sql takes it back, so repeat it after each upgrade.'),
      lines('GRANT', profile.samples_grant),
    ),
  ];
}

function lines(language, text) {
  return el('div', { class: 'box code' }, el('pre', { tabindex: '0', role: 'region', 'aria-label': language }, el('code', {}, text)), copyButton(text, `Copy the ${language}`));
}

function values(feature, profile) {
  const { of } = profile;
  if (of?.problem) return el('p', { class: 'problem' }, `Its last profile failed: ${of.problem}`);
  if (!of || profile.rows === null) return el('p', { class: 'soft' }, 'No run has profiled it yet; the next one will.');
  const share = (n) => (profile.rows ? ` (${percent(n / profile.rows)})` : '');
  const sampled = of.sampled < of.rows ? `, of a sample of ${count(of.sampled)} rows` : '';
  const quantiles = Object.entries(profile.quantiles).map(([at, value]) => `${at} ${number(value)}`).join(' · ');
  return [
    el('p', { class: 'soft' }, `As of ${of.as_of_day}, by `, runLink(of.dag_id, of.run_id), '.'),
    facts([
      ['Certified', profile.certified],
      ['Rows', count(profile.rows)],
      ['Without a value', `${count(profile.nulls)}${share(profile.nulls)}`],
      ['Zero', profile.zeros === null ? '' : `${count(profile.zeros)}${share(profile.zeros)}`],
      ['Distinct', `${count(profile.distinct)}${sampled}`],
      ['Least and most', profile.least === null ? '' : `${number(profile.least)} and ${number(profile.most)}`],
      ['Mean, deviation', profile.mean === null ? '' : `${number(profile.mean)}, ${number(profile.deviation)}`],
      ['Quantiles', quantiles && `${quantiles}${sampled}`],
    ]),
  ];
}

function distribution(feature, { bins, then }) {
  const most = Math.max(...bins.flatMap((bin) => [bin.now, bin.then]));
  const rows = bins.map((bin) => el(
    'tr',
    {},
    el('th', { scope: 'row', class: 'break' }, bin.label),
    el('td', { class: 'wide' }, pairOfBars(bin.now, bin.then, most)),
    el('td', { class: 'number' }, percent(bin.now)),
    el('td', { class: 'number soft' }, percent(bin.then)),
  ));
  const head = ['Value', '', 'Now', 'Then'].map((title) => el('th', { scope: 'col', class: title === 'Now' || title === 'Then' ? 'number' : '' }, title || el('span', { class: 'unseen' }, 'Chart')));
  return [
    el('p', { class: 'soft' }, `Shares of all rows. The thick bar is now. The thin bar is then: the first run under the contract's stamp, on ${then}.`),
    el('div', { class: 'scroll', role: 'region', 'aria-label': `Distribution of ${feature.name}`, tabindex: '0' }, el(
      'table',
      { class: 'distribution' },
      el('caption', { class: 'unseen' }, `Distribution of ${feature.name}`),
      el('thead', {}, el('tr', {}, head)),
      el('tbody', {}, rows),
    )),
  ];
}

function byMonth(feature, months) {
  const shares = months.map((m) => m.nulls / m.rows);
  const means = months.map((m) => m.mean);
  const span = `${month(months[0].month)} to ${month(months.at(-1).month)}`;
  const known = means.filter((mean) => mean !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const lines = [
    ['Rows', spark(months.map((m) => m.rows), { most: Math.max(...months.map((m) => m.rows)), words: `Rows by month, ${span}` }), `${plural(months.at(-1).rows, 'row')} in the newest`],
    ['Without a value', spark(shares, { most: Math.max(...shares, 0.01), words: `Share without a value by month, ${span}` }), `${percent(shares.at(-1))} in the newest; most ${percent(Math.max(...shares))}`],
    known.length > 0 && ['Mean', spark(means.map((mean) => (mean === null ? null : mean - low)), { most: high - low, words: `Mean by month, ${span}` }), `${number(means.at(-1))} in the newest; from ${number(low)} to ${number(high)}`],
  ];
  return [
    el('p', { class: 'soft' }, `${plural(months.length, 'month')}, ${span}.`),
    el('dl', { class: 'facts sparks' }, lines.filter(Boolean).map(([term, line, words]) => [el('dt', {}, term), el('dd', {}, line, ' ', words)])),
    tableInstead(`${feature.name} by month of t₀`, [
      ['Month', (m) => month(m.month), 'still'],
      ['Rows', (m) => count(m.rows), 'number'],
      ['Without a value', (m) => percent(m.nulls / m.rows), 'number'],
      ['Zero', (m) => count(m.zeros), 'number'],
      ['Least', (m) => number(m.least), 'number'],
      ['Most', (m) => number(m.most), 'number'],
      ['Mean', (m) => number(m.mean), 'number'],
      ['Deviation', (m) => number(m.deviation), 'number'],
    ], [...months].reverse()),
  ];
}

function drift({ of, nights, usual, drift_month: newest, drift_stamp: whole }) {
  const compared = of?.before ? `${month(of.month)} against ${month(of.before)}` : 'the newest month against the one before';
  const line = (values, words) => spark(values, { most: 1, words });
  return [
    el('p', { class: 'soft' }, 'Jensen-Shannon distance: 0 means the same distribution, 1 means nothing in common. If half of the rows lose their value, it is 0.56.'),
    el('dl', { class: 'facts sparks' }, [
      [compared, nights.map((n) => n.drift_month), `${distance(newest)}${usual === null ? '' : `; usual is up to ${distance(usual)}`}`],
      ['All rows now against all rows at the stamp', nights.map((n) => n.drift_stamp), distance(whole)],
    ].map(([term, series, words]) => [el('dt', {}, term), el('dd', {}, line(series, `${term}, night by night`), ' ', words)])),
    tableInstead('Drift night by night', [
      ['As of', (n) => n.as_of_day, 'still'],
      ['Run', (n) => runLink(n.dag_id, n.run_id, stamp(n.prepared_at)), 'still'],
      ['Month', (n) => distance(n.drift_month), 'number'],
      ['Since the stamp', (n) => distance(n.drift_stamp), 'number'],
    ], [...nights].reverse()),
  ];
}

function samples(feature, rows) {
  return table(`Values of ${feature.name} as they were served`, [
    ['Entity', (row) => row.entity, 'still'],
    [feature.name, (row) => row.value ?? 'NULL', 'words'],
  ], rows);
}
