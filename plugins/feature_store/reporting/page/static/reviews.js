// Changes of past days that wait for a person, with the command that accepts them.

import { el } from './dom.js';
import { plural, time } from './format.js';
import { command, moved, runLink, section } from './parts.js';
import { badge, findingKind } from './states.js';

// Shows nothing if nothing waits.
export function pastList(leaks, reviews) {
  const parts = [];
  if (leaks.length) {
    parts.push(section(`${plural(leaks.length, 'settled day')} moved without cause`, entries(leaks)));
  }
  if (reviews.length) {
    parts.push(section(`For review: ${plural(reviews.length, 'change')} of settled days`, entries(reviews)));
  }
  return parts;
}

function entries(findings) {
  return el('ul', { class: 'cards' }, findings.map((f) => el('li', { class: `box edge ${findingKind(f.kind)[0]}` }, entry(f))));
}

function entry(f) {
  return [
    el('h4', {}, f.day ?? 'All days', ' in ', el('span', { title: f.relation }, f.layer), ' ', badge(findingKind(f.kind))),
    el('p', {}, moved(f), f.columns.length > 0 && [' in ', el('span', { class: 'break' }, f.columns.join(', '))]),
    f.details && el('p', { class: 'soft break' }, f.details),
    el('p', {}, el('span', { class: 'soft' }, 'Found '), runLink(f.dag_id, f.run_id, time(f.found_at))),
    f.day && [
      el('p', { class: 'soft' }, f.kind === 'leak' ? 'Fix the cause. If it is known and harmless, accept it as the reviewer or the owner:' : 'To accept it as the reviewer or the owner:'),
      command(acceptance(f)),
    ],
  ];
}

function acceptance(f) {
  return `bin/feature-store accept-history --day ${f.day} --layer ${quoted(f.layer)} --reason 'why'`;
}

// Quoted for a shell, whatever the name contains.
function quoted(word) {
  return /^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
