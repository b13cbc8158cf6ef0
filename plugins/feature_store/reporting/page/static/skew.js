// How far today's values of a feature lie from those that were served.

import { el } from './dom.js';
import { count, percent } from './format.js';
import { runLink, table } from './parts.js';

export function skewTable(feature, skew) {
  if (!skew.length) return el('p', { class: 'soft' }, 'Not measured: nothing has been served of it, or not for long enough.');
  const [all] = skew;
  const share = (s) => (s.compared ? percent(s.differing / s.compared) : '–');
  return [
    el('p', {}, `Of ${count(all.compared)} entities ${share(all)} have another ${feature.name} today than the one that was served. `, runLink(all.dag_id, all.run_id, 'The run that compared')),
    table('Skew', [
      ['Days since t₀', (s) => s.age, 'still'],
      ['Compared', (s) => count(s.compared), 'number'],
      ['Differ', (s) => count(s.differing), 'number'],
      ['Share', share, 'number'],
      ['Typically by', (s) => (s.typical === null ? '–' : Number(s.typical.toPrecision(4)).toLocaleString('en')), 'number'],
      ['Gone since', (s) => count(s.gone), 'number'],
    ], skew),
  ];
}
