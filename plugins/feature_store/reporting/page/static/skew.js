// How much today's values of a feature differ from those that were served.

import { el } from './dom.js';
import { count, percent } from './format.js';
import { runLink, table } from './parts.js';

export function skewTable(feature, skew) {
  if (!skew.length) return el('p', { class: 'soft' }, 'Not measured: it has not been served yet, or not for long enough.');
  const [all] = skew;
  const share = (s) => (s.compared ? percent(s.differing / s.compared) : '–');
  return [
    el('p', {}, `${share(all)} of ${count(all.compared)} entities have a different ${feature.name} today than when it was served. `, runLink(all.dag_id, all.run_id, 'The run that compared')),
    table('Skew', [
      ['Days since t₀', (s) => s.age, 'still'],
      ['Compared', (s) => count(s.compared), 'number'],
      ['Differ', (s) => count(s.differing), 'number'],
      ['Share', share, 'number'],
      ['Typical difference', (s) => (s.typical === null ? '–' : Number(s.typical.toPrecision(4)).toLocaleString('en')), 'number'],
      ['Gone since', (s) => count(s.gone), 'number'],
    ], skew),
  ];
}
