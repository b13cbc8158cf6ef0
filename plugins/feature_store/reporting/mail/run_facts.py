"""What a mail says of its run; of a failed one, from Airflow, the exception and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from feature_store.audit.lease import RunKey
from feature_store.connection import Connection
from feature_store.declarations.store_profile import read_profile
from feature_store.errors import BadInput
from feature_store.reporting.run.account import Account
from feature_store.reporting.run.facts import Finding, RefreshFacts
from feature_store.reporting.run.next_steps import next_steps, section
from feature_store.reporting.run.read import read_findings
from feature_store.reporting.run.refreshes import read_readable
from feature_store.reporting.run.run_again import PastRun
from feature_store.reporting.run.step import Step
from feature_store.schema.store_record import leading_column
from feature_store.validation.certification import certified_in_words
from feature_store.validation.history.by_day import by_day
from feature_store.validation.history.findings import pending_reviews

LOG_LINK = "Log of "
"""What the label of a task's log begins with."""
RUN_LINK = "Run in Airflow"
"""The label of the run's address."""
# Names of relations in a mail. The report has all of them.
_MOST = 2


@dataclass(frozen=True)
class FailedRun:
    """What Airflow knows of a failed run: all that a mail has if the database is down.

    Attributes:
        dag_id: of the DAG.
        run_id: of its run.
        account: why it failed.
        as_of_day: the day that the run answers for.
        logical_date: of the run, if it has one.
        tasks: all of the run; empty if Airflow could not say.
        links: pairs of a label and an address.
        run_type: of the run, such as ``backfill``; empty: not known.
        given: the run's conf; None: not known.
        recorded: whether the record has this account, and so knows itself which findings count.
    """

    dag_id: str
    run_id: str
    account: Account
    as_of_day: date | None = None
    logical_date: datetime | None = None
    tasks: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    run_type: str = ""
    given: Mapping[str, Any] | None = None
    recorded: bool = False


@dataclass(frozen=True)
class MailFacts:
    """What a mail says of its run, failed or good.

    Attributes:
        dag_id: of the DAG.
        run_id: of its run.
        as_of_day: the day that the run answers for, if known.
        title: how people call the store.
        account: why it failed; of a good run, empty.
        findings: what its suites found, without what was met.
        key: the first column of sample rows; empty: none.
        readers: what readers see now.
        certified: what was certified last, if known.
        reviews: old days whose change this run saw first and nobody has accepted.
        steps: what to do.
        section: of the runbook, about this kind of mail.
        links: pairs of a label and an address.
        notes: on the mail itself, such as that it comes late.
    """

    dag_id: str
    run_id: str
    as_of_day: date | None = None
    title: str = "feature store"
    account: Account = field(default_factory=Account)
    findings: tuple[Finding, ...] = ()
    key: str = ""
    readers: str = ""
    certified: str | None = None
    reviews: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    section: str = "The mails"
    links: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def read_facts(
    run: FailedRun,
    connection: Connection | None,
    include_dir: Path,
    why_not: str = "no session was given",
) -> MailFacts:
    """Gather what the mail says.

    Args:
        run: what Airflow says.
        connection: a pinned session on the store; None if none could be opened.
        include_dir: the store's folder.
        why_not: why there is no session, in words.

    Raises:
        psycopg.Error: the record could not be read.
    """
    findings: tuple[Finding, ...] = ()
    certified: str | None = None
    reviews: tuple[str, ...] = ()
    key = ""
    account = run.account
    if connection is None:
        # The error's "nothing was changed" is about the task that could not connect, not the run.
        worked = set(run.tasks) - {t.task_id for t in account.failed} - set(account.never_ran)
        readers = account.readers if len(worked) <= 1 else ""
        readers = f"{readers or 'not known.'} The store could not be asked: {why_not}."
    else:
        findings = read_findings(connection, run.dag_id, run.run_id)
        if not run.recorded:
            findings = tuple(f for f in findings if f.suite not in account.suites_not_reached)
        key = leading_column(connection)
        readers = readers_have(read_readable(connection, run.dag_id, run.run_id))
        certified = certified_in_words(connection)
        run_key = RunKey.of(run)
        seen = [review for review in pending_reviews(connection) if review.latest == run_key]
        reviews = tuple(by_day(seen, key).values())
    past = PastRun(run.dag_id, run.logical_date, run.tasks, run.run_type, run.given, run.as_of_day)
    return MailFacts(
        dag_id=run.dag_id,
        run_id=run.run_id,
        as_of_day=run.as_of_day,
        title=title_of(include_dir),
        account=account,
        findings=findings,
        key=key,
        readers=readers,
        certified=certified,
        reviews=reviews,
        steps=next_steps(past, account, findings, include_dir),
        section=section(account, findings),
        links=_with_one_log(run.links, account, findings),
    )


def _with_one_log(
    links: Sequence[tuple[str, str]], account: Account, findings: Sequence[Finding]
) -> tuple[tuple[str, str], ...]:
    """The links without all logs but one: that of the task, or of the suite, which leads."""
    suites = {task.suite: task.task_id for task in account.failed if task.suite}
    told = [task.task_id for task in account.failed if not task.suite]
    told += [suites[finding.suite] for finding in findings if finding.suite in suites]
    told += suites.values()
    lead = next((f"{LOG_LINK}{task}" for task in told), None)
    return tuple(
        link for link in links if not link[0].startswith(LOG_LINK) or lead in (None, link[0])
    )


def title_of(include_dir: Path) -> str:
    """How people call the store; prepare reports a folder that cannot be read."""
    try:
        return read_profile(include_dir).title
    except BadInput:
        return MailFacts.title


def readers_have(readable: Sequence[RefreshFacts]) -> str:
    """What readers see now, in words."""
    new = [one.relation for one in readable if one.refreshed]
    old = [one for one in readable if not one.refreshed]
    if not readable:
        return "nothing: no relation has ever been refreshed."
    if not new:
        newest = max(one.finished_at for one in old)
        return (
            "the rows of earlier refreshes; this run has refreshed nothing. The newest of "
            f"{len(old)} relations was refreshed at {_moment(newest)}."
        )
    lines = [f"new rows of this run, not certified by it: {_some(new)}."]
    if old:
        newest = max(one.finished_at for one in old)
        kept = _some([one.relation for one in old])
        lines.append(f"rows of earlier refreshes: {kept}, the newest of {_moment(newest)}.")
    return "\n".join(lines)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{', '.join(names[:_MOST])}{more}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
