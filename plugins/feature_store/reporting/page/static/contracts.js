// Feature sets as stamped, and the exceptions declared for their features.

import { el } from './dom.js';
import { plural } from './format.js';
import { copyButton } from './parts.js';
import { badge, contractState, featureBadge } from './states.js';

export function contractCards(contracts) {
  if (!contracts.length) return el('p', {}, 'No feature set is stamped.');
  return el('ul', { class: 'cards' }, contracts.map((c) => el('li', { class: 'box' }, contract(c))));
}

function contract(c) {
  return [
    el(
      'h4',
      {},
      el('a', { href: `#features/${encodeURIComponent(c.name)}`, class: 'break' }, c.name),
      ' ',
      badge(contractState(c)),
    ),
    el('p', {}, c.n_features === null ? 'Its relation is ' : [plural(c.n_features, 'feature'), ' bound to '], el('code', { class: 'break' }, c.relation)),
    el('p', {}, el('span', { class: 'soft' }, 'Stamped '), ...hash(c.stamped_hash), el('span', { class: 'soft' }, ` ${comparison(c)}`)),
    c.problems.length > 0 && el('ul', { class: 'problems' }, c.problems.map((problem) => el('li', {}, problem))),
  ];
}

function hash(text) {
  if (!text) return ['never'];
  return [el('code', { title: text }, `${text.slice(0, 12)}…`), ' ', copyButton(text, 'Copy the whole hash')];
}

function comparison(c) {
  if (!c.stamped_hash) return '';
  if (!c.live_hash) return 'the database has none now';
  return c.live_hash === c.stamped_hash ? 'the same in the database now' : `in the database now ${c.live_hash.slice(0, 12)}…`;
}

export function exceptionList(exceptions) {
  if (!exceptions.length) return el('p', {}, 'None: every feature sees only what was known at t₀.');
  return el('ul', { class: 'cards' }, exceptions.map((e) => el(
    'li',
    { class: 'box' },
    el('h4', {}, e.title, ' ', featureBadge(e)),
    el('p', {}, e.reason),
    el('p', { class: 'soft break' }, `${tainted(e.taints)}, by ${e.relation}`),
  )));
}

function tainted(taints) {
  const sets = Object.entries(taints).filter(([, features]) => features.length);
  return sets.length ? `Reaches ${sets.map(([set, features]) => `${plural(features.length, 'feature')} of ${set}`).join(', ')}` : 'Reaches no feature';
}
