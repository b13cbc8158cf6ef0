// Small parts that several views share.

import { el, newId } from './dom.js';
import { plural, time } from './format.js';
import { badge, findingKind } from './states.js';
import { addressed } from './stores.js';

// A command that a person can read, select and copy.
export function command(told) {
  const text = addressed(told);
  const words = text.split(' ').flatMap((word, i) => [i > 0 && ' ', el('span', {}, word)]);
  return el('div', { class: 'command' }, el('code', {}, words), copyButton(text, 'Copy the command'));
}

const COMMAND = /((?<=^|, then |; then |; |: )(?:bin\/feature-store|airflow|psql|docker) .*?(?=, then |; |$))/;

// What to do next: commands in boxes with a copy button, other words as text.
export function nextStep(text) {
  const steps = text.split(COMMAND).map((part, i) => (i % 2 ? command(part) : words(part)));
  return el('div', { class: 'next' }, el('span', { class: 'soft' }, 'Next:'), steps);
}

function words(part) {
  const text = part.replace(/^[,;]? |[:;,]? $/g, '');
  return text && el('span', {}, text);
}

export function copyButton(text, label) {
  const button = el('button', { type: 'button', class: 'copy', 'aria-label': label, title: label }, 'Copy');
  button.addEventListener('click', async () => {
    button.textContent = (await copy(text)) ? 'Copied' : 'Not copied';
    announce(button.textContent);
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS, or in a frame without the right, only the old way works.
    const field = el('textarea', { class: 'unseen', 'aria-hidden': 'true' }, text);
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}

// What a screen reader says next; the focus stays where it is.
export function announce(text) {
  document.getElementById('status').textContent = text;
}

export function section(title, ...children) {
  const id = newId('part');
  return el('section', { 'aria-labelledby': id }, el('h3', { id }, title), ...children);
}

// A table; columns are [heading, function for a row's cell, class]. Only its box scrolls sideways.
export function table(caption, columns, rows) {
  const head = el('tr', {}, columns.map(([title, , kind]) => el('th', { scope: 'col', class: kind }, title)));
  const body = rows.map((row) => el('tr', {}, columns.map(([, cell, kind]) => el('td', { class: kind }, cell(row)))));
  return el(
    'div',
    { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: '0' },
    el('table', {}, el('caption', { class: 'unseen' }, caption), el('thead', {}, head), el('tbody', {}, body)),
  );
}

// A chart's numbers as a table, made only when somebody opens it.
export function tableInstead(caption, columns, rows) {
  const box = el('details', { class: 'instead' }, el('summary', {}, `${caption}, as a table`));
  box.addEventListener('toggle', () => {
    if (box.open && box.childElementCount === 1) box.append(table(caption, columns, rows));
  });
  return box;
}

// Pairs of a term and what it is; those without a value are left out.
export function facts(pairs) {
  const present = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return el('dl', { class: 'facts' }, present.map(([term, value]) => [el('dt', {}, term), el('dd', {}, value)]));
}

export const runHash = (dagId, runId) => `#run?${new URLSearchParams({ dag_id: dagId, run_id: runId })}`;

export function runLink(dagId, runId, ...children) {
  return el('a', { href: runHash(dagId, runId) }, ...(children.length ? children : [runId]));
}

// Exactly one of several, by mouse, arrow keys or touch.
export function choice(legend, options, chosen, onChoice) {
  const name = newId('choice');
  const fields = options.map(([value, text]) => {
    const field = el('input', { type: 'radio', name, value, checked: value === chosen, 'data-keep': `${legend}: ${value}` });
    field.addEventListener('change', () => onChoice(value));
    return el('label', {}, field, el('span', {}, text));
  });
  return el('fieldset', { class: 'choice' }, el('legend', { class: 'unseen' }, legend), fields);
}

export function moved(finding) {
  const parts = [[finding.came, 'came'], [finding.went, 'went'], [finding.changed, 'changed']];
  return parts.filter(([n]) => n > 0).map(([n, word]) => `${plural(n, 'row')} ${word}`).join(', ') || 'no rows';
}

export const isOpen = (finding) => finding.resolution === null;

// Changes of old days, as columns of a table.
export const FINDING_COLUMNS = [
  ['Kind', (f) => badge(findingKind(f.kind))],
  ['Day', (f) => f.day ?? 'all days', 'still'],
  ['Layer', (f) => el('span', { title: f.relation }, f.layer)],
  ['What moved', (f) => [moved(f), f.columns.length ? ` in ${f.columns.join(', ')}` : '']],
  ['Found', (f) => runLink(f.dag_id, f.run_id, time(f.found_at)), 'still'],
  ['Resolution', (f) => resolution(f)],
];

export const findingTable = (caption, findings) => table(caption, FINDING_COLUMNS, findings);

function resolution(finding) {
  if (isOpen(finding)) return 'open';
  const by = finding.closed_by ? ` by ${finding.closed_by}` : '';
  return `${finding.resolution}${by}${finding.reason ? `: ${finding.reason}` : ''}`;
}
