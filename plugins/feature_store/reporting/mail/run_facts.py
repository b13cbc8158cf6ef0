"""What is known of a failed run: from Airflow, from the exception, and from the audit tables."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from feature_store.audit.interference import BY_HAND
from feature_store.audit.lease import Holder
from feature_store.declarations.dag_outline import EXPECTATIONS
from feature_store.errors import RunFailed, StoreError
from feature_store.reporting.mail.compose import MOST_ROWS, FailedTask, Finding, RunFacts
from feature_store.reporting.mail.short_cause import told_by
from feature_store.validation.certification import certified_in_words
from feature_store.validation.history.findings import pending_reviews


@dataclass(frozen=True)
class FailedRun:
    """What Airflow says of a run that failed; all that a mail needs if the database is down.

    Attributes:
        dag_id: of the DAG.
        run_id: of its run.
        task_id: the task that gives the verdict; it is not counted among those that failed.
        error: what the verdict's task raised.
        as_of_day: the day that the run answers for.
        logical_date: of the run, if it has one.
        states: of the run's tasks; empty if Airflow could not say.
        causes: of failed tasks, in a few words, as far as they left one.
        links: pairs of a label and an address.
    """

    dag_id: str
    run_id: str
    task_id: str
    error: BaseException | None = None
    as_of_day: date | None = None
    logical_date: datetime | None = None
    states: Mapping[str, str | None] = field(default_factory=dict)
    causes: Mapping[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()

    @property
    def failed(self) -> tuple[str, ...]:
        """The tasks that failed before the verdict."""
        return tuple(
            sorted(t for t, state in self.states.items() if state == "failed" and t != self.task_id)
        )

    @property
    def never_ran(self) -> tuple[str, ...]:
        """The tasks that never came to an end of their own."""
        return tuple(
            sorted(
                t
                for t, state in self.states.items()
                if t != self.task_id and state not in ("success", "failed")
            )
        )


def read_facts(
    run: FailedRun, connection: Connection[Any] | None, why_not: str = "no session was given"
) -> RunFacts:
    """Gather what the mail says.

    Args:
        run: what Airflow says.
        connection: a pinned session on the store; None if there is none to be had.
        why_not: why there is none, in words.

    Raises:
        psycopg.Error: the audit tables could not be read.
    """
    told = told_by(run.error)
    breaches: tuple[Finding, ...] = ()
    errors: tuple[Finding, ...] = ()
    if connection is None:
        # That "nothing was changed" is said of the task that could not connect, not of the run.
        worked = any(state == "success" for state in run.states.values())
        readers = told.readers if told and told.readers and not worked else ""
        readers = f"{readers or 'not known.'} The store was not asked: {why_not}."
        certified = None
        reviews: tuple[str, ...] = ()
    else:
        breaches, errors = _findings(connection, run)
        readers = _readers(connection, run)
        certified = certified_in_words(connection)
        reviews = tuple(
            str(review)
            for review in pending_reviews(connection)
            if review.latest == Holder(run.dag_id, run.run_id)
        )
    failed = tuple(FailedTask(t, run.causes.get(t, ""), _suite(t)) for t in run.failed)
    return RunFacts(
        dag_id=run.dag_id,
        run_id=run.run_id,
        as_of_day=run.as_of_day,
        failed=failed,
        never_ran=run.never_ran,
        breaches=breaches,
        errors=errors,
        problem=_problem(run.error, told, explained=bool(failed or breaches or errors)),
        readers=readers,
        certified=certified,
        reviews=reviews,
        next_steps=tuple(_next_steps(run, told, breaches)),
        links=run.links,
    )


def _findings(
    connection: Connection[Any], run: FailedRun
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Broken expectations, then those that could not be checked."""
    rows = connection.execute(
        "SELECT e.outcome, e.suite, e.relation, e.expected, e.observed, e.severity, e.sample "
        "FROM feature_store_audit.expectation AS e "
        "WHERE e.dag_id = %s AND e.run_id = %s AND e.outcome <> 'met' "
        # What broke first leads, the others may only have passed it on: relations were first
        # refreshed in the order in which they read each other.
        "ORDER BY e.severity, (SELECT min(f.refresh_id) FROM feature_store_audit.refresh AS f "
        "WHERE f.relation = e.relation) NULLS FIRST, e.suite, e.relation, e.expectation",
        (run.dag_id, run.run_id),
    ).fetchall()
    not_this_time = {_suite(task) for task in run.never_ran}
    findings = [(outcome, _finding(*rest)) for outcome, *rest in rows]
    findings = [(outcome, f) for outcome, f in findings if f.suite not in not_this_time]
    return (
        tuple(f for outcome, f in findings if outcome == "broken"),
        tuple(f for outcome, f in findings if outcome == "error"),
    )


def _finding(
    suite: str, relation: str, expected: str, observed: str, severity: str, sample: Any
) -> Finding:
    rows = [row if isinstance(row, dict) else {"value": row} for row in sample]
    amount = observed.partition(" that ")[0] if observed[:1].isdigit() else ""
    if len(rows) == 1 and isinstance(rows[0].get("sample", ""), list | None):
        # One row that sums up: its counts are what was observed, its sample are the rows.
        counts = {name: n for name, n in rows[0].items() if name != "sample"}
        rows = [r if isinstance(r, dict) else {"value": r} for r in rows[0]["sample"] or ()]
        observed = _counted(counts)
        amount = _amount(counts)
    return Finding(
        suite=suite,
        relation=relation,
        expected=expected,
        observed=observed.removeprefix("it could not be checked: "),
        severity=severity,
        amount=amount,
        sample=tuple(_flat(row) for row in rows[:MOST_ROWS]),
    )


def _counted(counts: Mapping[str, Any]) -> str:
    if counts.keys() == {"broken", "compared"} and counts["compared"]:
        return f"{counts['broken']:,} of {counts['compared']:,} rows compared differ"
    return ", ".join(f"{name}: {_number(n)}" for name, n in counts.items())


def _amount(counts: Mapping[str, Any]) -> str:
    if counts.get("compared") == 0:
        return "no row compared"
    n = counts.get("broken", next(iter(counts.values()), None))
    if not isinstance(n, int) or n < 1:
        return ""
    return f"{n:,} row{'s' if n != 1 else ''}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without nested values; of a proof's, its key and only what differs."""
    parts = [row.get(name) for name in ("key", "observed", "expected")]
    if not all(isinstance(part, dict) for part in parts):
        return {
            name: json.dumps(value, default=str) if isinstance(value, dict | list) else value
            for name, value in row.items()
        }
    key, observed, expected = (part or {} for part in parts)
    wrong = {n: value for n, value in observed.items() if value != expected.get(n)}
    told = {n: f"{_told(v)}, not {_told(expected.get(n))}" for n, v in wrong.items()}
    return {**key, **told}


def _told(value: Any) -> str:
    return "NULL" if value is None else str(value)


def _readers(connection: Connection[Any], run: FailedRun) -> str:
    rows = connection.execute(
        "SELECT relation, dag_id = %s AND run_id = %s, finished_at "
        "FROM feature_store_audit.latest_refresh ORDER BY relation",
        (run.dag_id, run.run_id),
    ).fetchall()
    new = [relation for relation, ours, _ in rows if ours]
    old = [(relation, moment) for relation, ours, moment in rows if not ours]
    if not rows:
        return "nothing: no relation has ever been refreshed."
    if not new:
        newest = max(moment for _, moment in old)
        return (
            f"what they saw before: this run refreshed nothing. The newest of {len(old)} relations "
            f"is of {_moment(newest)}."
        )
    lines = [f"new rows of this run, not certified: {', '.join(new)}."]
    if old:
        kept = ", ".join(f"{relation} ({_moment(moment)})" for relation, moment in old)
        lines.append(f"rows of earlier runs: {kept}.")
    return "\n".join(lines)


def _next_steps(
    run: FailedRun, told: StoreError | None, breaches: Sequence[Finding]
) -> Iterator[str]:
    if told and told.next_step:
        yield told.next_step
    task = _first_to_clear(run, breaches)
    if task is None:
        return
    if run.logical_date is None:
        yield f"Then clear {task} of run {run.run_id} with what follows it, in Airflow's page."
        return
    moment = shlex.quote(run.logical_date.isoformat())
    regex = shlex.quote("^" + task.replace(".", r"\.") + "$")
    yield (
        f"airflow tasks clear {shlex.quote(run.dag_id)} --task-regex {regex} --downstream "
        f"--start-date {moment} --end-date {moment}"
    )


def _first_to_clear(run: FailedRun, breaches: Sequence[Finding]) -> str | None:
    """The task whose work must be done again: the broken layer's own, else the first that failed.

    A task that failed for a cause of its own goes before a suite, which only found something.
    """
    for finding in breaches:
        if finding.severity == "critical":
            about = (*finding.layers, finding.relation)
            names = [relation.partition(".")[2] for relation in about]
            for name in filter(None, names):
                for task in run.states:
                    if task.rpartition(".")[2] == name:
                        return task
    for cause in run.causes.values():
        layer, by_hand, _ = cause.partition(f" {BY_HAND}")
        for task in run.states if by_hand else ():
            if task.rpartition(".")[2] == layer.rpartition(".")[2]:
                return task
    return min(run.failed, key=lambda task: (_suite(task) is not None, task), default=None)


def _problem(error: BaseException | None, told: StoreError | None, *, explained: bool) -> str:
    if error is None or (isinstance(told, RunFailed) and explained):
        return ""
    return told.problem if told else f"{type(error).__name__}: {error}"


def _suite(task_id: str) -> str | None:
    group, _, name = task_id.rpartition(".")
    return name if group == EXPECTATIONS else None


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
