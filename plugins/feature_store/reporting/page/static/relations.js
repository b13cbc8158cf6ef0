// The store's relations as a graph, from sources to feature sets, and the details of the chosen one.

import { el } from './dom.js';
import { bytes, count, plural, seconds, time } from './format.js';
import { graph, reached } from './graph.js';
import { facts, runLink } from './parts.js';
import { sourceOf } from './source.js';
import { badge, relationState, setState, standsOn } from './states.js';

const shortName = (name) => name.slice(name.indexOf('.') + 1);

// Names break after dots and underscores, where people would break them.
export function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((part, i) => (i ? [el('wbr'), part] : [part]));
}

export function storeGraph(now, signal) {
  const detail = el('div', { class: 'detail', id: 'relation-detail', 'aria-live': 'polite' });
  const labels = new Map(now.relations.map((r) => [r.name, r.label]));
  const nodes = [
    ...now.sources.map((name) => ({ id: name, column: sourceColumn(name, now.relations), reads: [], card: sourceCard(name) })),
    ...now.relations.map((r) => ({ id: r.name, column: r.level + 1, reads: r.reads, card: relationCard(r, now, labels, detail, signal) })),
    ...now.contracts.map((c) => ({ id: `set:${c.name}`, column: setColumn(c, now.relations), reads: [c.relation], card: setCard(c, labels) })),
  ];
  return [graph('Relations, from sources to feature sets', nodes, signal), detail, legend(now)];
}

// What the letters stand for: the documents use them as short names of relations.
function legend(now) {
  const lettered = now.relations.filter((r) => r.label !== shortName(r.name));
  return lettered.length > 0 && el(
    'details',
    { class: 'instead' },
    el('summary', {}, 'What the letters stand for'),
    facts(lettered.map((r) => [el('span', { class: 'strong' }, r.label), [el('code', { class: 'break' }, r.name), r.what ? `: ${r.what}` : '']])),
  );
}

// A source stands just before the first relation that reads it, so that its edges are short.
function sourceColumn(name, relations) {
  const readers = relations.filter((r) => r.reads.includes(name)).map((r) => r.level);
  return readers.length ? Math.min(...readers) : 0;
}

function setColumn(contract, relations) {
  return (relations.find((r) => r.name === contract.relation)?.level ?? 0) + 2;
}

function sourceCard(name) {
  return el(
    'div',
    { class: 'card source', title: name },
    el('span', { class: 'kind' }, 'Source'),
    el('span', { class: 'name' }, breakable(name)),
  );
}

function setCard(contract, labels) {
  return el(
    'a',
    { class: `card set ${setState(contract)[0]}`, href: `#features/${encodeURIComponent(contract.name)}` },
    el('span', { class: 'kind' }, 'Feature set'),
    el('span', { class: 'name' }, breakable(contract.name)),
    badge(setState(contract)),
    contract.refusal && el('span', { class: 'kind' }, why(contract)),
    el('span', { class: 'reads' }, `reads: ${labels.get(contract.relation) ?? contract.relation}`),
  );
}

// Short names where there are such; else as require_certified words it.
const why = ({ refused_for: names, refusal }) => (names.length > 0 ? `not proven: ${some(names)}` : refusal);

const some = (names) => (names.length > 3 ? `${names.slice(0, 2).join(', ')} and ${names.length - 2} more` : names.join(', '));

function relationCard(relation, now, labels, detail, signal) {
  const readsLabels = relation.reads.map((name) => labels.get(name) ?? shortName(name));
  const card = el(
    'button',
    { type: 'button', class: `card relation ${standsOn(relation)[0]}`, 'aria-expanded': 'false', 'aria-controls': 'relation-detail' },
    relation.label !== shortName(relation.name) && el('span', { class: 'label' }, relation.label),
    el('span', { class: 'name' }, breakable(relation.name)),
    badge(standsOn(relation)),
    relation.rows !== null && el('span', { class: 'numbers' }, plural(relation.rows, 'row')),
    relation.refreshed_at && el('span', { class: 'numbers soft' }, time(relation.refreshed_at, now.read_at), el('span', {}, seconds(relation.seconds))),
    readsLabels.length > 0 && el('span', { class: 'reads' }, `reads: ${readsLabels.join(', ')}`),
  );
  card.addEventListener('click', () => choose(card, relation, now, labels, detail, signal));
  return card;
}

function choose(card, relation, now, labels, detail, signal) {
  const opened = card.getAttribute('aria-expanded') === 'true';
  const cards = card.closest('.graph').querySelectorAll('[aria-expanded="true"]');
  for (const other of cards) other.setAttribute('aria-expanded', 'false');
  card.setAttribute('aria-expanded', String(!opened));
  // On a phone the graph is a list, and a card's details are right below it.
  const below = window.matchMedia('(max-width: 56rem)').matches ? card : card.closest('.graph');
  below.after(detail);
  detail.replaceChildren(...(opened ? [] : [details(relation, now, labels, signal)]));
  if (!opened) detail.scrollIntoView({ block: 'nearest' });
}

function details(relation, now, labels, signal) {
  const readers = now.relations.filter((r) => r.reads.includes(relation.name)).map((r) => r.label);
  const edges = [
    ...now.relations.flatMap((r) => r.reads.map((from) => ({ from, to: r.name }))),
    ...now.contracts.map((c) => ({ from: c.relation, to: c.name })),
  ];
  const all = (here, there) => [...reached(relation.name, edges, here, there)].slice(1).map((name) => labels.get(name) ?? name).join(', ');
  return el(
    'div',
    { class: 'box' },
    el('h4', {}, el('span', { class: 'break' }, relation.name), ' ', badge(relationState(relation.state))),
    facts([
      ['What it is', relation.what],
      ['One row', relation.grain],
      ['State', relation.state_words],
      ['Reads unproven', relation.stands_on.length ? relation.stands_on.join(', ') : ''],
      ['Refresh', relation.mode ?? (relation.refresh === 'views' ? 'none: a plain view' : relation.refresh)],
      ['Rows', relation.rows === null ? '' : count(relation.rows)],
      ['Size', relation.bytes === null ? '' : bytes(relation.bytes)],
      ['Last refresh', relation.refreshed_at && [time(relation.refreshed_at), ` in ${seconds(relation.seconds)}`]],
      ['By the run', relation.run_id && runLink(relation.dag_id, relation.run_id)],
      ['Reused', relation.reused],
      ['Reads', relation.reads.map((name) => labels.get(name) ?? name).join(', ')],
      ['Is read by', readers.join(', ')],
      ['Is made of, down to the sources', all('to', 'from')],
      ['All that is made of it', all('from', 'to')],
    ]),
    sourceOf(relation.name, signal),
  );
}
