// Airflow's shell around this page. The frame has no right to navigate the shell or to open windows,
// so the shell's own document follows links that lead out of the frame.

import { el } from './dom.js';

const PAGE = new URL('../', import.meta.url);
const AIRFLOW = new URL('../../', import.meta.url);

// The document of the shell; null if this page is not in a frame, or in a foreign one.
export function shell() {
  if (window.parent === window) return null;
  try {
    return window.parent.document;
  } catch {
    return null;
  }
}

function follow(event, href, target) {
  const around = shell();
  if (!around || href.origin !== window.location.origin) return;
  event.preventDefault();
  const apart = target === '_blank' || event.ctrlKey || event.metaKey || event.button === 1;
  const link = around.createElement('a');
  link.href = href.href;
  link.rel = 'noopener';
  if (apart) link.target = '_blank';
  around.body.append(link);
  link.click();
  link.remove();
}

function outward(href, target, children) {
  const listener = (event) => follow(event, href, target);
  return el('a', { href: href.href, target, rel: 'noopener', on: { click: listener, auxclick: listener } }, ...children);
}

// A link to a page of Airflow; the path is relative to Airflow's address.
export function airflowLink(path, ...children) {
  return outward(new URL(path.replace(/^\/+/, ''), AIRFLOW), '_top', children);
}

export function runInAirflow(dagId, runId, ...children) {
  return airflowLink(`dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}`, ...children);
}

// A link that opens a page of ours by itself; the path is relative to this page.
export function apart(path, ...children) {
  return outward(pageAddress(path), '_blank', children);
}

export const pageAddress = (path) => new URL(path, PAGE);
