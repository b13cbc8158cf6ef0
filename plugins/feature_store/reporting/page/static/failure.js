// What the page says when it has no answer, and what the reader can do.

import { el } from './dom.js';
import { nextStep } from './parts.js';
import { airflowLink } from './shell.js';
import { icon } from './states.js';

const TITLES = {
  0: ['bad', 'Airflow does not answer'],
  401: ['warn', 'You are no longer logged in'],
  403: ['warn', 'You may not see this'],
  404: ['quiet', 'Not found'],
  422: ['warn', 'The address is not valid'],
  503: ['bad', 'The store cannot be read'],
};

export function failure(error, again) {
  const [tone, heading] = TITLES[error.status] ?? ['bad', 'There is no answer'];
  const retry = el('button', { type: 'button', class: 'plain', on: { click: again } }, 'Try again');
  return el(
    'section',
    { class: `verdict ${tone}`, role: 'alert' },
    icon(tone),
    el(
      'div',
      {},
      el('h2', { tabindex: '-1' }, heading),
      el('p', {}, error.message),
      error.readers && el('p', {}, `Readers ${error.readers}`),
      error.nextStep && nextStep(error.nextStep),
      el('p', {}, error.status === 401 ? airflowLink('', 'Log in again') : retry),
    ),
  );
}
