// Which store this page shows, and the choice between several.

import { read } from './api.js';
import { el } from './dom.js';
import { HOME } from './shell.js';

let command = 'bin/feature-store';
let name = 'Feature store';

// What the page is called: after its store where there are several.
export const pageName = () => name;

// A text whose commands reach the store of this page.
export function addressed(text) {
  return text.replace(/bin\/feature-store(?= [a-z])/g, () => command);
}

// Learn which stores there are; with one there is nothing to choose.
export async function offerStores(place) {
  const told = await read('stores');
  command = told.command;
  if (told.stores.length < 2) return;
  name = told.stores.find(({ chosen }) => chosen)?.title ?? name;
  const field = el('select', { id: 'store', 'aria-label': 'Store' }, told.stores.map((s) => el('option', { value: s.path, selected: s.chosen }, s.title)));
  field.addEventListener('change', () => window.location.assign(new URL(field.value, HOME)));
  place.after(el('span', { class: 'field' }, field));
}
