// Chooses the view from the address, and changes from one view to the next.

import { Refused } from './api.js';
import { failure } from './failure.js';
import * as feature from './feature.js';
import * as features from './features.js';
import { announce } from './parts.js';
import * as nights from './nights.js';
import * as now from './now.js';
import * as run from './run.js';
import * as runs from './runs.js';
import './theme.js';

const VIEWS = { now, nights, runs };
const place = document.getElementById('view');
const tabs = [...document.querySelectorAll('[role="tab"]')];
let leaving = new AbortController();

// The view of an address: [module, its parameters, the tab that it belongs to].
function wanted({ hash, search }) {
  const [path, query] = hash.slice(1).split('?');
  const [part, ...rest] = path.split('/').map(decoded);
  const asked = new URLSearchParams(path ? query : search);
  if (part === 'features' && rest.length === 2) return [feature, { set: rest[0], name: rest[1] }, 'features'];
  if (part === 'features') return [features, { set: rest[0] }, 'features'];
  if ((part === 'run' || !part) && asked.has('run_id')) {
    return [run, { dag_id: asked.get('dag_id'), run_id: asked.get('run_id') }, 'runs'];
  }
  const known = Object.hasOwn(VIEWS, part) ? part : 'now';
  return [VIEWS[known], {}, known];
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function mark(tab) {
  for (const other of tabs) {
    const chosen = other.id === `tab-${tab}`;
    other.setAttribute('aria-selected', String(chosen));
    other.tabIndex = chosen ? 0 : -1;
  }
  place.setAttribute('aria-labelledby', `tab-${tab}`);
}

// Show what the address asks for. `byReader`: somebody followed a link, so the heading is read out.
async function show(byReader) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [view, parameters, tab] = wanted(window.location);
  mark(tab);
  document.title = `${view.title} · Feature store`;
  announce(`${view.title}: reading…`);
  place.setAttribute('aria-busy', 'true');
  let parts;
  try {
    parts = await view.show(parameters, signal, () => show(false));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    parts = [failure(error, () => show(false))];
  } finally {
    if (!signal.aborted) place.removeAttribute('aria-busy');
  }
  if (signal.aborted) return;
  const kept = document.activeElement?.dataset.keep;
  place.replaceChildren(...parts.flat(Infinity).filter(Boolean));
  announce(`${view.title}: read.`);
  const again = kept && [...place.querySelectorAll('[data-keep]')].find((node) => node.dataset.keep === kept);
  again?.focus();
  const heading = place.querySelector('h2');
  if (heading && view !== now && view !== nights) document.title = `${heading.textContent} · Feature store`;
  if (byReader && !again) arrive(heading);
}

// A link within the page moves the reader to the new heading; a tab keeps the focus.
function arrive(heading) {
  window.scrollTo(0, 0);
  if (!tabs.includes(document.activeElement)) heading?.focus({ preventScroll: true });
}

function walk(event) {
  const at = tabs.indexOf(event.target);
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const tab = tabs[(next + tabs.length) % tabs.length];
  tab.focus();
  tab.click();
}

document.getElementById('tabs').addEventListener('keydown', walk);
document.getElementById('again').addEventListener('click', () => show(false));
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  document.getElementById('main').focus();
});
window.addEventListener('hashchange', () => show(true));
show(false);
