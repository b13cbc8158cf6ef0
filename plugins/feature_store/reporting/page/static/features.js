// The catalogue: all features of all sets, to search and filter, with their share of NULLs and drift.

import { Refused, read } from './api.js';
import { el } from './dom.js';
import { percent, plural } from './format.js';
import { announce, choice, facts, section, table } from './parts.js';
import { servedForm } from './served.js';
import { spark } from './spark.js';
import { badge, featureBadge } from './states.js';
import { addressed } from './stores.js';

export const title = 'Features';

const EVERY = '*';
const WANTED = { words: '', badge: '', type: '', owner: '', tag: '' };

export const featureHash = (set, name) => `#features/${encodeURIComponent(set)}/${encodeURIComponent(name)}`;

export async function show({ set }, signal) {
  const trends = read('profiles', {}, signal).catch((error) => {
    if (!(error instanceof Refused)) throw error;
    return error;
  });
  trends.catch(() => {}); // the reader may have left this view
  const told = await read('features', {}, signal);
  const { sets, features, badges } = told;
  if (!sets.length) {
    return [el('h2', { tabindex: '-1' }, 'Features'), el('p', { class: 'calm' }, addressed('No feature set has a contract yet: bin/feature-store stamp-contract stamps one.'))];
  }
  const chosen = set === EVERY ? EVERY : (sets.find(({ name }) => name === set) ?? sets[0]).name;
  const ofSet = features.filter((f) => chosen === EVERY || f.feature_set === chosen);
  const titles = new Map(told.exceptions.map((e) => [e.id, e.title]));
  const found = el('div', { class: 'found' });
  const words = el('p', { class: 'soft', role: 'status' });
  const below = el('div');
  const trendOf = new Map();
  const list = () => {
    const shown = ofSet.filter(isWanted);
    words.textContent = `${plural(shown.length, 'feature')}${shown.length < ofSet.length ? ` of ${ofSet.length}` : ''}.`;
    found.replaceChildren(...listed(shown, chosen, titles, trendOf));
  };
  list();
  trends.then((answer) => {
    if (signal.aborted) return;
    if (answer instanceof Refused) {
      below.replaceChildren(el('p', { class: 'problem' }, `Shares without a value and drift cannot be shown now: ${answer.message}`));
      return;
    }
    for (const trend of answer.features) trendOf.set(`${trend.feature_set} ${trend.name}`, trend);
    list();
    below.replaceChildren(...asServed(sets.find(({ name }) => name === chosen), answer, signal));
  }, () => {});
  announce('');
  return [
    el('div', { class: 'head' }, el('h2', { tabindex: '-1' }, 'Features'), choice(
      'Feature set',
      [...sets.map(({ name }) => [name, `${name} (${features.filter((f) => f.feature_set === name).length})`]), [EVERY, 'All']],
      chosen,
      (name) => { window.location.hash = `#features/${encodeURIComponent(name)}`; },
    )),
    el('div', { class: 'filters' }, filters(ofSet, list)),
    words,
    found,
    below,
    el('details', { class: 'instead' }, el('summary', {}, 'What the badges mean'), facts(Object.entries(badges))),
  ];
}

// A field for words, and a list for each property that the features differ in.
function filters(features, list) {
  const field = el('input', { type: 'search', id: 'filter', value: WANTED.words, autocomplete: 'off', spellcheck: 'false' });
  field.addEventListener('input', () => {
    WANTED.words = field.value.trim();
    list();
  });
  const lists = [
    ['badge', 'What it knows', features.map((f) => f.badge)],
    ['type', 'Type', features.map((f) => f.dtype)],
    ['owner', 'Owner', features.map((f) => f.owner)],
    ['tag', 'Tag', features.flatMap((f) => f.tags)],
  ];
  return [
    el('p', { class: 'field' }, el('label', { for: 'filter' }, 'Filter'), field),
    lists.map(([key, label, values]) => {
      const options = [...new Set(values.filter(Boolean))].sort();
      if (!options.includes(WANTED[key])) WANTED[key] = '';
      return options.length > 1 || (options.length && key !== 'badge' && key !== 'type') ? selection(key, label, options, list) : null;
    }),
  ];
}

function selection(key, label, options, list) {
  const field = el('select', { id: `filter-${key}` }, ['', ...options].map((option) => el('option', { value: option, selected: option === WANTED[key] }, option || 'any')));
  field.addEventListener('change', () => {
    WANTED[key] = field.value;
    list();
  });
  return el('p', { class: 'field' }, el('label', { for: `filter-${key}` }, label), field);
}

function isWanted(feature) {
  const all = [feature.name, feature.description, feature.badge, feature.owner, ...feature.exceptions, ...feature.tags].join(' ').toLowerCase();
  return WANTED.words.toLowerCase().split(/\s+/).every((word) => all.includes(word))
    && (!WANTED.badge || feature.badge === WANTED.badge)
    && (!WANTED.type || feature.dtype === WANTED.type)
    && (!WANTED.owner || feature.owner === WANTED.owner)
    && (!WANTED.tag || feature.tags.includes(WANTED.tag));
}

function listed(features, set, titles, trendOf) {
  const keys = features.filter((f) => f.is_key);
  const of = set === EVERY ? 'all sets' : set;
  return [
    rows(`Features of ${of}`, features.filter((f) => !f.is_key), set, titles, trendOf),
    keys.length > 0 && section('Keys', el('p', { class: 'soft' }, 'Columns to find and join rows by. No model should learn from them.'), rows(`Keys of ${of}`, keys, set, titles, trendOf)),
  ].filter(Boolean);
}

function rows(caption, features, set, titles, trendOf) {
  const trend = (f) => trendOf.get(`${f.feature_set} ${f.name}`);
  const columns = [
    ['#', (f) => String(f.ordinal), 'number'],
    ['Feature', (f) => el('a', { href: featureHash(f.feature_set, f.name), class: 'strong' }, f.name), 'still'],
    ['What it knows', (f) => [featureBadge(f), f.exceptions.length > 0 && el('p', { class: 'soft' }, f.exceptions.map((id) => titles.get(id) ?? id).join(', '))], 'words'],
    ['What it is', (f) => [f.description, contradicted(f, trend(f)) && el('p', { class: 'soft' }, `NULL in ${plural(trend(f).null_rows, 'row')}, though the contract says never.`)], 'words'],
    set === EVERY && ['Set', (f) => f.feature_set, 'words'],
    ['Type', (f) => `${f.dtype}${!f.is_nullable && trend(f)?.null_rows === 0 ? ', never NULL' : ''}`, 'still'],
    ['Without a value', (f) => fullness(f, trend(f)), 'still'],
    ['Drift', (f) => drift(f, trend(f)), 'still'],
    features.some((f) => f.owner) && ['Owner', (f) => f.owner || '–', 'words'],
    features.some((f) => f.tags.length) && ['Tags', (f) => f.tags.join(', '), 'words'],
  ];
  return table(caption, columns.filter(Boolean), features);
}

// Nothing checks what the contract says of NULLs, so it is shown as a fact only where the last night found none.
const contradicted = (feature, trend) => !feature.is_nullable && trend?.null_rows > 0;

function fullness(feature, trend) {
  const share = trend?.nulls.at(-1);
  if (share === undefined) return '–';
  const words = `${feature.name}: ${percent(share)} of the rows without a value, over ${plural(trend.nulls.length, 'night')}`;
  return [spark(trend.nulls, { most: Math.max(...trend.nulls, 0.04) * 1.25, words }), ' ', percent(share)];
}

function drift(feature, trend) {
  const last = trend?.drift.at(-1) ?? trend?.drift_stamp;
  if (last === undefined || last === null) return '–';
  const words = `${feature.name}: drift ${last.toFixed(2)} over ${plural(trend.drift.length, 'night')}${trend.drifted ? ', beyond the threshold' : ''}`;
  return [spark(trend.drift, { most: 1, words, tone: trend.drifted ? 'warn' : '' }), ' ', last.toFixed(2), ' ', trend.drifted && badge(['warn', 'drifted'])];
}

function asServed(set, { served }, signal) {
  if (!set?.entity) return [];
  if (served.includes(set.name)) return [servedForm(set, signal)];
  return [section('As served, and today', el('p', { class: 'soft' }, addressed(`The page's login may not read rows, or nothing has been served yet. As the refresher, bin/feature-store served ${set.name} shows the same.`)))];
}
