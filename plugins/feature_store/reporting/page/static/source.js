// A relation's columns from the database, and its SQL from its file.

import { Refused, read } from './api.js';
import { el } from './dom.js';
import { plural } from './format.js';
import { copyButton, table } from './parts.js';

// Two boxes; opening either loads both.
export function sourceOf(name, signal) {
  let asked = null;
  const ask = () => {
    asked ??= read(`relations/${encodeURIComponent(name)}`, {}, signal);
    return asked;
  };
  return [
    opened('Columns and what they are', ask, ({ columns }) => table(`Columns of ${name}`, [
      ['Column', (column) => column.name, 'still'],
      ['Type', (column) => column.type, 'still'],
      ['What it is', (column) => column.comment || '–', 'words'],
    ], columns), ({ columns }) => plural(columns.length, 'column')),
    opened('SQL', ask, ({ file, sql }) => [
      el('p', { class: 'soft break' }, file, ' ', copyButton(sql, 'Copy the SQL')),
      el('pre', { class: 'box code', tabindex: '0', 'aria-label': `SQL of ${name}` }, el('code', {}, sql)),
    ]),
  ];
}

function opened(title, ask, show, words) {
  const box = el('details', { class: 'instead' }, el('summary', {}, title));
  box.addEventListener('toggle', async () => {
    if (!box.open || box.childElementCount > 1) return;
    const inner = el('div', {}, el('p', { class: 'soft' }, 'Reading…'));
    box.append(inner);
    try {
      const told = await ask();
      inner.replaceChildren(...[words && el('p', { class: 'soft' }, words(told)), show(told)].flat().filter(Boolean));
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (!(error instanceof Refused)) throw error;
      inner.replaceChildren(el('p', { class: 'problem' }, error.message));
    }
  });
  return box;
}
