// Changes of old days that wait for a person, with the command that accepts them.

import { el } from './dom.js';
import { plural, time } from './format.js';
import { command, moved, nextStep, runLink, section } from './parts.js';
import { badge, findingKind } from './states.js';

// Shows nothing if nothing waits.
export function pastList({ leaks, reviews, review_days: days }) {
  const parts = [];
  if (leaks.length) {
    parts.push(section(`${plural(leaks.length, 'old day')} moved without cause`, cards(leaks.map((f) => ['leak', leak(f)]))));
  }
  if (reviews.length) {
    const told = new Map(days.map((day) => [day.day, day]));
    const all = new Set(reviews.map((f) => f.day));
    const undated = reviews.filter((f) => !f.day).map((f) => ['review', head(f)]);
    parts.push(section(
      `For review: ${plural(all.size, 'old day')} changed`,
      cards([...undated, ...days.map((day) => ['review', review(day, reviews.filter((f) => f.day === day.day))])]),
      all.size > told.size + undated.length && nextStep('the rest of these days: bin/feature-store history'),
    ));
  }
  return parts;
}

const cards = (entries) => el('ul', { class: 'cards' }, entries.map(([kind, entry]) => el('li', { class: `box edge ${findingKind(kind)[0]}` }, entry)));

// The day in the words of the review's mail; layer by layer for whoever asks.
function review({ day, words, accept }, findings) {
  return [
    el('h4', {}, day, ' ', badge(findingKind('review'))),
    el('p', { class: 'break' }, words),
    el('details', { class: 'instead' }, el('summary', {}, 'Layer by layer'), findings.map(told)),
    acceptance('If it is right as it is now, accept it as the reviewer or the owner, and say why:', accept),
  ];
}

function leak(f) {
  return [
    head(f),
    told(f),
    f.accept && acceptance('Fix the cause. If it is known and harmless, accept it as the reviewer or the owner, and say why:', f.accept),
  ];
}

const head = (f) => el('h4', {}, f.day ?? 'All days', ' in ', layer(f), ' ', badge(findingKind(f.kind)));

const layer = (f) => el('span', { title: f.relation }, f.layer);

function told(f) {
  return [
    el('p', {}, f.kind === 'review' && [layer(f), ': '], moved(f), f.columns.length > 0 && [' in ', el('span', { class: 'break' }, f.columns.join(', '))]),
    f.details && el('p', { class: 'soft break' }, f.details),
    el('p', {}, el('span', { class: 'soft' }, 'Found '), runLink(f.dag_id, f.run_id, time(f.found_at))),
  ];
}

const acceptance = (words, text) => [el('p', { class: 'soft' }, words), command(text)];
