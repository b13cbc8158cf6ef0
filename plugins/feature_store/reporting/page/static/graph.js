// A graph from left to right: cards in columns, and curves drawn between the cards' real places.
// For a screen reader, and on a phone, it is a list in which each card says what it reads.

import { el, svg } from './dom.js';

// Nodes are {id, column, reads, group, card}: `reads` are ids, `group` keeps cards together, and
// `card` is the element shown. An edge over several columns has a lane of its own between the cards.
export function graph(label, nodes, signal) {
  const columnOf = new Map(nodes.map((node) => [node.id, node.column]));
  const edges = nodes.flatMap((node) => node.reads.filter((id) => columnOf.has(id)).map((id) => ({ from: id, to: node.id })));
  const lanes = lanesOf(edges, columnOf, [...new Set(columnOf.values())]);
  const places = new Map(nodes.map((node) => [node.id, el('li', { class: 'place' }, node.card)]));
  for (const lane of lanes) places.set(lane.id, el('li', { class: 'lane', 'aria-hidden': 'true' }));
  const columns = arranged([...nodes, ...lanes], edges).map((column) =>
    el('li', {}, el('ul', {}, column.map((node) => places.get(node.id)))));
  const wires = svg('svg', { class: 'wires', 'aria-hidden': 'true', focusable: 'false' });
  for (const edge of edges) {
    edge.path = svg('path', {});
    wires.append(edge.path);
  }
  const inner = el('div', { class: 'graph-inner' }, wires, el('ol', { class: 'columns' }, columns));
  inner.style.setProperty('--columns', String(columns.length));
  const box = el('div', { class: 'graph', role: 'region', 'aria-label': label, tabindex: '0' }, inner);

  const draw = () => drawEdges(inner, wires, edges, places);
  const observer = new ResizeObserver(draw);
  observer.observe(inner);
  signal.addEventListener('abort', () => observer.disconnect());
  highlight(inner, edges, places);
  return box;
}

// A lane for each card in each column that its edges pass. An edge keeps its lanes in `by`.
function lanesOf(edges, columnOf, numbers) {
  const lanes = new Map();
  for (const edge of edges) {
    const passed = numbers.filter((n) => n > columnOf.get(edge.from) && n < columnOf.get(edge.to)).sort((a, b) => a - b);
    edge.by = passed.map((column) => `lane ${column} of ${edge.from}`);
    passed.forEach((column, i) => lanes.set(edge.by[i], { id: edge.by[i], column }));
  }
  return [...lanes.values()];
}

// Order each column so that neighbours of a card are near it: sort by the mean place of what is before
// it, then of what is after it, a few times.
function arranged(nodes, edges) {
  const numbers = [...new Set(nodes.map((node) => node.column))].sort((a, b) => a - b);
  const columns = numbers.map((number) => nodes.filter((node) => node.column === number));
  const steps = edges.flatMap(({ from, by, to }) => [...by, to].map((id, i) => [[from, ...by][i], id]));
  const place = new Map();
  const settle = (column) => column.forEach((node, i) => place.set(node.id, (i + 0.5) / column.length));
  const pull = (id, here) => {
    const near = steps.filter((step) => step[here] === id).map((step) => place.get(step[1 - here]));
    return near.length ? mean(near) : place.get(id);
  };
  columns.forEach(settle);
  for (let turn = 0; turn < 8; turn += 1) {
    const here = turn % 2 ? 0 : 1;
    for (const column of turn % 2 ? [...columns].reverse() : columns) {
      const pulls = new Map(column.map((node) => [node, pull(node.id, here)]));
      const groups = [...Map.groupBy(column, (node) => node.group ?? node.id).values()];
      for (const group of groups) group.sort((a, b) => pulls.get(a) - pulls.get(b));
      const middle = new Map(groups.map((group) => [group, mean(group.map((node) => pulls.get(node)))]));
      column.splice(0, column.length, ...groups.sort((a, b) => middle.get(a) - middle.get(b)).flat());
      settle(column);
    }
  }
  return columns;
}

const mean = (values) => values.reduce((sum, value) => sum + value) / values.length;

function drawEdges(inner, wires, edges, places) {
  const origin = inner.getBoundingClientRect();
  wires.setAttribute('width', String(inner.scrollWidth));
  wires.setAttribute('height', String(inner.scrollHeight));
  for (const { from, by, to, path } of edges) {
    const stops = [from, ...by, to].map((id) => places.get(id).getBoundingClientRect());
    path.setAttribute('d', curve(stops, origin));
  }
}

// From the right of one place to the left of the next, straight through those between.
function curve(stops, origin) {
  const ends = stops.map((s) => [s.left - origin.left, s.right - origin.left, s.top + s.height / 2 - origin.top]);
  return ends.slice(1).map(([x2, right, y2], i) => {
    const [, x1, y1] = ends[i];
    const middle = (x1 + x2) / 2;
    return `${i ? '' : `M${x1} ${y1}`}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}${i < ends.length - 2 ? `H${right}` : ''}`;
  }).join('');
}

// Everything that can be reached from a card along the edges, in one direction.
export function reached(start, edges, here, there) {
  const found = new Set([start]);
  const waiting = [start];
  while (waiting.length) {
    const id = waiting.pop();
    for (const edge of edges) {
      if (edge[here] === id && !found.has(edge[there])) {
        found.add(edge[there]);
        waiting.push(edge[there]);
      }
    }
  }
  return found;
}

// Pointing at a card, or focusing it, shows what it is made of and what is made of it: all others fade.
// The card that is open keeps its own lit, and nothing fades.
function highlight(inner, edges, places) {
  const light = (id) => {
    const up = reached(id, edges, 'to', 'from');
    const down = reached(id, edges, 'from', 'to');
    for (const [other, place] of places) place.classList.toggle('lit', up.has(other) || down.has(other));
    for (const { from, to, path } of edges) {
      path.classList.toggle('lit', (up.has(from) && up.has(to)) || (down.has(from) && down.has(to)));
    }
  };
  const show = (id) => {
    inner.classList.add('choosing');
    light(id);
  };
  const rest = () => {
    inner.classList.remove('choosing');
    const open = [...places].find(([, place]) => place.querySelector('.card[aria-expanded="true"]'));
    inner.classList.toggle('chosen', Boolean(open));
    if (open) light(open[0]);
  };
  for (const [id, place] of places) {
    place.addEventListener('pointerenter', () => show(id));
    place.addEventListener('pointerleave', rest);
    place.addEventListener('focusin', () => show(id));
    place.addEventListener('focusout', rest);
  }
}
