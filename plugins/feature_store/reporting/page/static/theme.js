// Light or dark: follows Airflow's shell at once; without it, the reader's system.

import { shell } from './shell.js';

const system = window.matchMedia('(prefers-color-scheme: dark)');
const changes = new EventTarget();
const root = document.documentElement;
const around = shell()?.documentElement;

function wanted() {
  if (around?.classList.contains('dark')) return 'dark';
  if (around?.classList.contains('light')) return 'light';
  return system.matches ? 'dark' : 'light';
}

function follow() {
  if (root.dataset.theme === wanted()) return;
  root.dataset.theme = wanted();
  changes.dispatchEvent(new Event('theme'));
}

follow();
system.addEventListener('change', follow);
if (around) new MutationObserver(follow).observe(around, { attributes: true, attributeFilter: ['class'] });

// Call back on each change, until `signal` ends it.
export function onTheme(listener, signal) {
  changes.addEventListener('theme', listener, { signal });
}

// The current colour of a custom property of page.css, as rgb(), for what CSS does not draw.
export function colour(property) {
  const probe = document.createElement('span');
  probe.style.color = `var(${property})`;
  root.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
