// The JSON behind the page. Addresses are relative to this file, so any base path works.

const API = new URL('../api/', import.meta.url);

// What went wrong, as the API says: a status, and the words of its Problem.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.problem);
    this.status = status;
    this.readers = problem.readers ?? '';
    this.nextStep = problem.next_step ?? '';
  }
}

async function problemOf(answer) {
  try {
    const told = await answer.json();
    if (typeof told.problem === 'string') return told;
  } catch {
    // Not ours: a proxy's page, or Airflow's own. Its status says enough.
  }
  return { problem: `The answer was ${answer.status} ${answer.statusText}`.trim() + '.' };
}

// Read one thing; `signal` ends the wait when the reader changes to another view.
export async function read(path, parameters, signal) {
  const address = new URL(path, API);
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (value !== undefined && value !== null) address.searchParams.set(name, value);
  }
  let answer;
  try {
    answer = await fetch(address, { signal, headers: { Accept: 'application/json' }, credentials: 'same-origin' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0, { problem: 'Airflow did not answer.', next_step: '' });
  }
  if (!answer.ok) throw new Refused(answer.status, await problemOf(answer));
  return answer.json();
}
