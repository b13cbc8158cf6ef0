// From the sources' columns to a feature.

import { el } from './dom.js';
import { plural, stamp } from './format.js';
import { graph } from './graph.js';
import { facts, runLink } from './parts.js';
import { breakable } from './relations.js';

const shortName = (name) => name.slice(name.indexOf('.') + 1);

export function lineageGraph(lineage, feature, relation, signal) {
  if (!lineage) return el('p', { class: 'soft' }, 'No run has traced it yet; the next one will.');
  const read = Map.groupBy(lineage.edges, ([, to]) => to);
  const names = new Map(lineage.columns.map((step) => [step.id, `${step.label}.${step.column}`]));
  const nodes = lineage.columns.map((step) => {
    const reads = (read.get(step.id) ?? []).map(([from]) => from);
    return { id: step.id, column: step.level, group: step.relation, reads, card: card(step, reads, names, feature, relation) };
  });
  const sources = lineage.columns.filter((step) => step.refresh === 'source').length;
  return [
    el(
      'p',
      { class: 'soft' },
      `Its value is made of ${plural(lineage.columns.length - 1, 'other column')}, ${sources} of them in the sources. Read from the database's stored queries; first found by this run: `,
      runLink(lineage.dag_id, lineage.run_id, stamp(lineage.traced_at)), '.',
    ),
    graph(`Columns that ${feature.name} is made of`, nodes, signal),
    decided(lineage.decided_by),
  ];
}

// Columns that rows are looked up, joined, filtered or sorted by: no part of the value.
function decided(steps) {
  if (!steps.length) return null;
  const byRelation = Map.groupBy(steps, (step) => step.relation);
  return el(
    'details',
    { class: 'instead' },
    el('summary', {}, `Columns that only choose the rows: ${plural(steps.length, 'column')}`),
    el('p', { class: 'soft' }, 'Rows are looked up, joined, filtered or sorted by them. They are no part of the value.'),
    facts([...byRelation].map(([relation, columns]) => [el('span', { title: relation }, breakable(columns[0].label)), columns.map((step) => step.column).join(', ')])),
  );
}

function card(step, reads, names, feature, relation) {
  const itself = step.relation === relation && step.column === feature.name;
  return el(
    'div',
    { class: `card column ${step.refresh === 'source' ? 'source' : ''} ${itself ? 'itself' : ''}`, title: step.id, tabindex: '0', role: 'group', 'aria-label': `${step.column} of ${step.relation}` },
    el('span', { class: 'name strong' }, breakable(step.column)),
    el('span', { class: 'kind' }, breakable(step.refresh === 'source' ? shortName(step.label) : step.label)),
    reads.length > 0 && el('span', { class: 'reads' }, `reads: ${reads.map((id) => names.get(id) ?? id).join(', ')}`),
  );
}
