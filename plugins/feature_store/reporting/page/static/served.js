// One entity of a feature set as it was served, beside what the store says of it today.

import { Refused, read } from './api.js';
import { el, newId } from './dom.js';
import { plural } from './format.js';
import { announce, section, table } from './parts.js';

export function servedForm({ name, entity }, signal) {
  const id = newId('entity');
  const field = el('input', { id, name: 'entity', type: 'search', required: true, maxlength: 100, autocomplete: 'off', spellcheck: 'false' });
  const found = el('div', { 'aria-live': 'polite' });
  const form = el(
    'form',
    { class: 'field' },
    el('label', { for: id }, entity),
    field,
    el('button', { type: 'submit', class: 'plain' }, 'Look up'),
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    found.replaceChildren(...(await lookedUp(name, field.value.trim(), signal)));
  });
  return section(
    'As served, and today',
    el('p', { class: 'soft' }, `What a model was given for one ${entity}, and what the store has for it now.`),
    form,
    found,
  );
}

async function lookedUp(set, entity, signal) {
  try {
    const { words, values } = await read(`served/${encodeURIComponent(set)}`, { entity }, signal);
    const differing = values.filter((value) => value.differs);
    announce(`${plural(differing.length, 'feature')} ${differing.length === 1 ? 'differs' : 'differ'}.`);
    return [el('p', {}, words), beside(entity, [...differing, ...values.filter((value) => !value.differs)])];
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return [el('p', { class: 'problem' }, error.message), error.nextStep && el('p', { class: 'soft' }, error.nextStep)].filter(Boolean);
  }
}

function beside(entity, values) {
  const shown = (value) => value ?? el('span', { class: 'soft' }, 'NULL');
  return table(`Features of ${entity}`, [
    ['Feature', (value) => value.feature, 'still'],
    ['Served', (value) => shown(value.served), 'words'],
    ['Today', (value) => shown(value.today), 'words'],
    ['Moved', (value) => (value.differs ? el('strong', {}, 'differs') : '')],
  ], values);
}
