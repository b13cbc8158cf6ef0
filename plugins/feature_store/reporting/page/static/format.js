// Numbers and times as people read them. Times are shown in the store's zone, as the API gives it.

import { el } from './dom.js';

const whole = new Intl.NumberFormat('en-GB');
const compact = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumSignificantDigits: 3 });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'narrow' });
const STEPS = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
const DAY = 86400000;

let zone = 'UTC';
let clock = clockOf(zone);

function clockOf(name) {
  return new Intl.DateTimeFormat('sv-SE', {
    timeZone: name, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit',
  });
}

export function useZone(name) {
  if (!name || name === zone) return;
  clock = clockOf(name);
  zone = name;
}

export const zoneName = () => zone;
export const count = (n) => (n === null || n === undefined ? '–' : whole.format(n));
export const shortCount = (n) => compact.format(n);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.01 ? 2 : 1)}\u00a0%`;
export const stamp = (iso) => clock.format(new Date(iso));
export const dayOf = (iso) => stamp(iso).slice(0, 10);

// Days as numbers, counted from 1970-01-01.
export const dayNumber = (day) => Math.round(Date.parse(`${day}T00:00:00Z`) / DAY);
export const dayText = (number) => new Date(number * DAY).toISOString().slice(0, 10);

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let step = 0;
  let rest = n;
  while (rest >= 1000 && step < units.length - 1) {
    rest /= 1000;
    step += 1;
  }
  return `${rest < 10 && step > 0 ? rest.toFixed(1) : Math.round(rest)} ${units[step]}`;
}

export function seconds(s) {
  if (s === null || s === undefined) return '–';
  if (s < 1) return `${s.toFixed(2)}\u00a0s`;
  if (s < 10) return `${s.toFixed(1)}\u00a0s`;
  if (s < 120) return `${Math.round(s)}\u00a0s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.round(s % 60)}\u00a0s`;
  return `${(s / 3600).toFixed(1)}\u00a0h`;
}

function ago(iso, now) {
  const passed = (new Date(now) - new Date(iso)) / 1000;
  const [unit, size] = STEPS.find(([, least]) => Math.abs(passed) >= least) ?? STEPS.at(-1);
  return relative.format(-Math.floor(passed / size), unit);
}

// A time in words; pointing at it shows the exact time in the store's zone.
export function time(iso, now) {
  if (!iso) return el('span', {}, '–');
  const exact = `${stamp(iso)} ${zone}`;
  return el('time', { datetime: iso, title: exact }, now ? ago(iso, now) : stamp(iso));
}

export function between(start, end) {
  return start && end ? seconds((new Date(end) - new Date(start)) / 1000) : '–';
}
