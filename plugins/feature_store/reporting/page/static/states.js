// States, each with a word, a shape and a tone, so that nobody has to tell colours apart.

import { el, svg } from './dom.js';

const SHAPES = {
  good: ['M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z', 'M5 8.2l2.1 2.1L11 6.2'],
  warn: ['M8 1.8L15 14H1z', 'M8 6v3.8M8 11.6v.6'],
  bad: ['M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z', 'M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8'],
  info: ['M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z', 'M8 4.5V8l2.4 1.6'],
  quiet: ['M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z', 'M5 8h6'],
  live: ['M1 8c2-3.4 4.3-4.7 7-4.7s5 1.3 7 4.7c-2 3.4-4.3 4.7-7 4.7S3 11.4 1 8z', 'M8 6.2a1.8 1.8 0 1 0 0 3.6a1.8 1.8 0 0 0 0-3.6z'],
};

const STANDINGS = {
  certified: ['good', 'Certified'],
  review: ['warn', 'For review'],
  running: ['info', 'A run is under way'],
  stale: ['warn', 'Stale'],
  failed: ['bad', 'Failed'],
  empty: ['quiet', 'Empty'],
};

const RELATIONS = {
  certified: ['good', 'Certified'],
  unproven: ['warn', 'Not proven'],
  revoked: ['bad', 'Revoked'],
  rewritten: ['bad', 'Rewritten'],
  refused: ['bad', 'Refused'],
  'never refreshed': ['quiet', 'Not filled'],
  'live view': ['live', 'Live view'],
  missing: ['bad', 'Missing'],
};

const TASKS = {
  success: ['good', 'success'],
  failed: ['bad', 'failed'],
  upstream_failed: ['bad', 'upstream failed'],
  up_for_retry: ['warn', 'up for retry'],
  running: ['info', 'running'],
  queued: ['info', 'queued'],
  scheduled: ['info', 'scheduled'],
};

const KINDS = {
  leak: ['bad', 'Moved without cause'],
  review: ['warn', 'Review'],
  definition: ['info', 'New definition'],
  exception: ['info', 'declared columns'],
};

const known = (states, word) => states[word] ?? ['quiet', word ?? 'none'];

export const standing = (word) => known(STANDINGS, word);
export const relationState = (word) => known(RELATIONS, word);
export const taskState = (word) => known(TASKS, word);
export const findingKind = (word) => known(KINDS, word);

export function contractState(contract) {
  if (contract.stamped_hash === null) return ['quiet', 'Not stamped'];
  return contract.holds ? ['good', 'Holds'] : ['bad', 'Does not hold'];
}

// May it be read now? As require_certified answers, and then by its contract.
export function setState(contract) {
  if (contract.stamped_hash === null) return ['quiet', 'Not stamped'];
  if (contract.readable === null) return ['quiet', 'Not known at the moment'];
  if (!contract.readable) return ['bad', 'May not be read now'];
  return contract.holds ? ['good', 'May be read'] : contractState(contract);
}

// A relation is only as proven as what it reads: rows made of unproven rows are shown as unproven.
export function standsOn(relation) {
  const own = relationState(relation.state);
  return relation.stands_on.length && ['good', 'live'].includes(own[0]) ? ['warn', 'Reads unproven rows'] : own;
}

// How a run ended; a warning does not fail it.
export function runState(run) {
  if (run.verdict === 'failed') return ['bad', 'Failed'];
  if (run.verdict !== 'passed') return ['info', 'No verdict'];
  return run.warnings > 0 ? ['warn', `Passed, with ${run.warnings === 1 ? 'a warning' : `${run.warnings} warnings`}`] : ['good', 'Passed'];
}

export function expectationState(expectation) {
  if (expectation.result === 'met') return ['good', 'Met'];
  if (expectation.result === 'error') return ['bad', 'Not checked'];
  return expectation.severity === 'warning' ? ['warn', 'Warning'] : ['bad', 'Broken'];
}

// What a feature's values know: one badge for each feature, wherever it is named.
const KNOWS = { 'proven as of t0': ['good', 'Proven as of t₀'] };

export const featureBadge = (feature) => badge(KNOWS[feature.badge] ?? ['warn', feature.badge.charAt(0).toUpperCase() + feature.badge.slice(1)]);

export function icon(tone) {
  const paths = SHAPES[tone].map((d) => svg('path', { d }));
  return svg('svg', { class: `icon ${tone}`, viewBox: '0 0 16 16', 'aria-hidden': 'true', focusable: 'false' }, paths);
}

export function badge([tone, word]) {
  return el('span', { class: `badge ${tone}` }, icon(tone), el('span', {}, word));
}
