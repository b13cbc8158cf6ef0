// All features of all sets, to be searched.

import { read } from './api.js';
import { el } from './dom.js';
import { plural } from './format.js';
import { announce, choice, facts, table } from './parts.js';
import { featureBadge } from './states.js';

export const title = 'Features';

let searched = '';

export const featureHash = (set, name) => `#features/${encodeURIComponent(set)}/${encodeURIComponent(name)}`;

export async function show({ set }, signal) {
  const { features, exceptions, badges } = await read('features', {}, signal);
  const sets = [...Map.groupBy(features, (f) => f.feature_set)];
  if (!sets.length) {
    return [el('h2', { tabindex: '-1' }, 'Features'), el('p', { class: 'calm' }, 'No feature set has a contract yet: bin/feature-store stamp-contract stamps one.')];
  }
  const titles = new Map(exceptions.map((e) => [e.id, e.title]));
  const chosen = sets.some(([name]) => name === set) ? set : sets[0][0];
  const found = el('div');
  const told = el('p', { class: 'soft', role: 'status' });
  const list = () => {
    const shown = sets.find(([name]) => name === chosen)[1].filter((f) => matches(f, searched));
    told.textContent = searched ? `${plural(shown.length, 'feature')} with “${searched}”.` : plural(shown.length, 'feature');
    found.replaceChildren(listed(chosen, shown, titles));
  };
  const field = el('input', { type: 'search', id: 'filter', value: searched, autocomplete: 'off', spellcheck: 'false' });
  field.addEventListener('input', () => {
    searched = field.value.trim();
    list();
  });
  list();
  announce('');
  return [
    el('div', { class: 'head' }, el('h2', { tabindex: '-1' }, 'Features'), choice(
      'Feature set',
      sets.map(([name, members]) => [name, `${name} (${members.length})`]),
      chosen,
      (name) => { window.location.hash = `#features/${encodeURIComponent(name)}`; },
    )),
    el('p', { class: 'field' }, el('label', { for: 'filter' }, 'Filter'), field),
    told,
    found,
    el('details', { class: 'instead' }, el('summary', {}, 'What the badges mean'), facts(Object.entries(badges))),
  ];
}

function matches(feature, text) {
  const all = `${feature.name} ${feature.description} ${feature.badge} ${feature.exceptions.join(' ')}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

function listed(set, features, titles) {
  return table(`Features of ${set}`, [
    ['#', (f) => String(f.ordinal), 'number'],
    ['Feature', (f) => el('a', { href: featureHash(f.feature_set, f.name), class: 'strong' }, f.name), 'still'],
    ['What it is', (f) => f.description, 'words'],
    ['Type', (f) => `${f.dtype}${f.is_nullable ? '' : ', never NULL'}`, 'still'],
    ['What it knows', (f) => featureBadge(f), 'still'],
    ['Exceptions', (f) => f.exceptions.map((id) => titles.get(id) ?? id).join(', '), 'words'],
  ], features);
}
