// One feature: what it is, where it comes from, its exceptions, and how often it has no value.

import { read } from './api.js';
import { chart, tooltip } from './charts.js';
import { exceptionList } from './contracts.js';
import { el } from './dom.js';
import { count, percent, plural, stamp, useZone } from './format.js';
import { lineageGraph } from './lineage.js';
import { facts, runLink, section, tableInstead } from './parts.js';
import { profileSections } from './profile.js';
import { skewTable } from './skew.js';
import { featureBadge } from './states.js';

const DAYS = 730;
const CEILINGS = [0.01, 0.05, 0.1, 0.25, 0.5, 1];

export const title = 'Feature';

export async function show({ set, name }, signal) {
  const path = `features/${encodeURIComponent(set)}/${encodeURIComponent(name)}`;
  const [told, profile] = await Promise.all([
    read(path, { days: DAYS }, signal),
    read(`${path}/profile`, { days: DAYS }, signal),
  ]);
  useZone(told.zone);
  const { feature, relation, exceptions, lineage, nulls, skew, comment, badge_words: badgeWords } = told;
  return [
    el('p', {}, el('a', { href: `#features/${encodeURIComponent(set)}` }, `All features of ${set}`)),
    el('h2', { tabindex: '-1', class: 'break' }, feature.name),
    el('p', { class: 'lead' }, feature.description),
    facts([
      ['Feature set', `${feature.feature_set}, number ${feature.ordinal}`],
      ['Column of', el('code', { class: 'break' }, relation)],
      ['Type', feature.dtype],
      ['Owner', feature.owner],
      ['Tags', feature.tags.join(', ')],
      ['May be NULL', mayBeNull(feature, nulls)],
      ['What it knows', [featureBadge(feature), ' ', badgeWords]],
      ['Column', comment],
      ['Rule in the contract', exceptions.length ? `${feature.leakage_rule}: not true of this feature; kept because it is part of the stamped hash` : feature.leakage_rule],
    ]),
    section('Exceptions that reach it', exceptions.length ? exceptionList(exceptions) : el('p', { class: 'calm' }, 'None.')),
    profileSections(feature, profile),
    section('Where it comes from', lineageGraph(lineage, feature, relation, signal)),
    section('Skew since it was served', skewTable(feature, skew)),
    section('Share of NULLs', nullShare(feature, nulls, signal)),
  ];
}

// What the contract says is not checked: what the last run counted is said beside it.
function mayBeNull(feature, nulls) {
  if (feature.is_nullable) return 'yes';
  const last = nulls.findLast((n) => n.rows > 0);
  if (!last) return 'no, says the contract; no run has counted yet';
  if (!last.nulls) return 'no: the latest run found none';
  return `yes: in ${plural(last.nulls, 'row')} of the latest run. The contract says no: kept because it is part of the stamped hash`;
}

function nullShare(feature, nulls, signal) {
  if (!nulls.length) return el('p', { class: 'soft' }, 'No run has counted them yet.');
  const points = nulls.filter((n) => n.rows > 0).map((n) => [Date.parse(n.prepared_at), n.nulls / n.rows, n]);
  if (!points.length) return el('p', { class: 'soft' }, `${plural(nulls.length, 'run')} counted, and the set had no rows: there is no share.`);
  const shares = points.map(([, share]) => share);
  const most = Math.max(...shares, 0);
  const ceiling = CEILINGS.find((c) => most <= c * 0.98) ?? 1;
  const summary = `${percent(shares.at(-1))} of the rows have no ${feature.name} in the latest run${nulls.at(-1).rows ? '' : ' that found any'}. Over ${plural(points.length, 'run')}: at least ${percent(Math.min(...shares))}, at most ${percent(most)}.`;
  return [
    el('p', {}, summary),
    el('p', { class: 'soft' }, `The axis goes up to ${ceiling * 100} %.`),
    chart({ summary, height: 220, signal, option: (c) => option(c, points, ceiling) }),
    tableInstead('Share of NULLs', [
      ['As of', (n) => n.as_of_day, 'still'],
      ['Run', (n) => runLink(n.dag_id, n.run_id, stamp(n.prepared_at)), 'still'],
      ['Rows', (n) => count(n.rows), 'number'],
      ['NULLs', (n) => count(n.nulls), 'number'],
      ['Share', (n) => (n.rows ? percent(n.nulls / n.rows) : '–'), 'number'],
    ], [...nulls].reverse()),
  ];
}

function option(c, points, ceiling) {
  const text = { color: c.soft, fontSize: 11 };
  return {
    grid: { left: 52, right: 12, top: 12, bottom: 28 },
    tooltip: { ...tooltip(c, ([{ data }]) => `${stamp(data[0])}\n${percent(data[1])}`), trigger: 'axis', axisPointer: { lineStyle: { color: c.soft } } },
    xAxis: { type: 'time', axisLabel: { ...text, hideOverlap: true }, axisLine: { lineStyle: { color: c.line } } },
    yAxis: {
      type: 'value', min: 0, max: ceiling, interval: ceiling / 4, splitLine: { lineStyle: { color: c.line } },
      axisLabel: { ...text, formatter: (share) => `${Number((share * 100).toPrecision(3))} %` },
    },
    series: [{
      type: 'line', data: points.map(([at, share]) => [at, share]), showSymbol: points.length === 1, lineStyle: { width: 1.5, color: c.series },
      itemStyle: { color: c.series }, areaStyle: { color: c.series, opacity: 0.12 },
    }],
  };
}
