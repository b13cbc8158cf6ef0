"""How to run again what failed: by clearing tasks of the run, or by a new run.

A cleared run keeps what it was given and its day. A new run has neither, so it is given them again.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from feature_store.declarations.dag_outline import PARAMETERS, SWITCHES
from feature_store.declarations.store_definition import closure, read_store
from feature_store.errors import StoreError
from feature_store.reporting.run.account import Account
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.step import Step

BAD_PARAMETER = "BadParameter"
"""The kind of a run that was given what no run can use."""
STOPPED = "stopped"
"""The kind of a run that has nothing to be fixed, as far as anybody knows."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class PastRun:
    """A failed run, as Airflow knows it.

    Attributes:
        dag_id: of the run.
        logical_date: of the run; without one, only Airflow's page can clear its tasks.
        tasks: of the run.
        run_type: of the run, such as ``backfill``; empty: not known.
        given: its conf; None: not known.
        as_of_day: the day that it answers for, if known.
    """

    dag_id: str
    logical_date: datetime | None = None
    tasks: Sequence[str] = ()
    run_type: str = ""
    given: Mapping[str, Any] | None = None
    as_of_day: date | None = None

    @property
    def own_day(self) -> dict[str, Any]:
        """The day to give to a new run, where the past one did not answer for that of its start.

        A manual run may have a logical date of its own. Whether a late mail's had one, or was given
        a day, is not known; the day is.
        """
        may_differ = self.logical_date is not None or self.given is None
        if self.run_type != "manual" or self.as_of_day is None or not may_differ:
            return {}
        return {"as_of_day": self.as_of_day.isoformat()}

    @property
    def is_backfill(self) -> bool:
        """Whether a backfill made it. A manual run answers for today, and accepts no day."""
        return self.run_type == "backfill"


def relation_of(task: str | None) -> str:
    """The relation that a task refreshes, without its schema."""
    return (task or "").rpartition(".")[2]


def to_clear(
    tasks: Sequence[str], account: Account, critical: Sequence[Finding], include_dir: Path
) -> tuple[str, ...]:
    """The tasks to run again: one, with those after it; or several that failed, each by itself.

    None: a new run, as no single task comes before all that is broken. A task that failed by
    itself goes before a suite, which only found something.

    Args:
        tasks: of the run.
        account: why it failed.
        critical: findings that fail it.
        include_dir: the store's folder.
    """
    own = [failed.task_id for failed in account.failed if not failed.suite]
    broken = dict.fromkeys(_of_broken_relations(tasks, account, critical))
    if broken:
        lead = _before_all([*broken, *(task for task in own if task not in broken)], include_dir)
        return (lead,) if lead else ()
    return tuple(own or [failed.task_id for failed in account.failed])


def new_run(run: PastRun, kind: str = "", switch: str = "") -> str:
    """The command for a new run with what the past one was given, and with a switch."""
    command = f"airflow dags trigger {shlex.quote(run.dag_id)}"
    # What was given last counts; a day that cannot be used is no day to answer for.
    conf = run.own_day | _conf(run, kind, switch)
    return f"{command} --conf {shlex.quote(json.dumps(conf))}" if conf else command


def run_with(run: PastRun, switch: str, words: str) -> Step:
    """How to run once with a switch, for the same day."""
    if not run.is_backfill:
        return Step(f"{words}:", new_run(run, switch=switch))
    return _backfill(run, f"{words}: create the backfill of this day again", _conf(run, "", switch))


def _backfill(run: PastRun, words: str, conf: Mapping[str, Any]) -> Step:
    """A backfill of one run alone. Airflow leaves out a run that it has, unless told otherwise."""
    # A conf is always given: without one the run would keep what it had.
    told = shlex.quote(json.dumps(conf))
    # It takes none while another of the DAG is at work, also that of this run.
    words = f"{words}, once the backfill under way has ended"
    if run.logical_date is None:
        return Step(f"{words}, with --reprocess-behavior failed --dag-run-conf {told}.")
    moment = shlex.quote(run.logical_date.isoformat())
    return Step(
        f"{words}:",
        f"airflow backfill create --dag-id {shlex.quote(run.dag_id)} --from-date {moment} "
        f"--to-date {moment} --reprocess-behavior failed --dag-run-conf {told}",
    )


def last_step(run: PastRun, tasks: Sequence[str], kind: str) -> Iterator[Step]:
    """How to run again; nothing, where the error itself says all.

    Args:
        run: that failed.
        tasks: to clear, as `to_clear` says; none: a new run.
        kind: of what failed.
    """
    if kind == BAD_PARAMETER:
        words = "Run again without what this run could not use"
        if run.is_backfill:
            yield _backfill(run, words, _conf(run, kind))
        else:
            yield Step(f"{words}:", new_run(run, kind))
        return
    lead = "To go on" if kind == STOPPED else "After the fix"
    if run.logical_date is None and run.is_backfill:
        yield Step(
            f"{lead}, clear what failed of this run on Airflow's page. A new run would "
            "answer for another day."
        )
    elif run.logical_date is None or not (tasks or run.is_backfill):
        same = "" if run.given is not None else " with what that run was given, if anything"
        yield Step(
            f"{lead}, run again{same}; relations that have not changed are reused:",
            new_run(run),
        )
    else:
        yield _clear(run, tasks, run.logical_date, lead)


def _clear(run: PastRun, tasks: Sequence[str], logical_date: datetime, lead: str) -> Step:
    if not tasks:
        words, which = f"{lead}, run the whole of it again, for the same day:", ""
    elif len(tasks) > 1:
        # It takes those that were kept from running, too, as each waits for one that failed.
        words = f"{lead}, run all that failed, and all that waited for it, again:"
        which = " --only-failed"
    else:
        words = f"{lead}, run {tasks[0]} and the tasks after it again:"
        # Airflow 3.3 looks for this text in the tasks' ids. A pattern would match nothing.
        which = f" --task-regex {shlex.quote(tasks[0])} --downstream"
    moment = shlex.quote(logical_date.isoformat())
    return Step(
        words,
        f"airflow tasks clear {shlex.quote(run.dag_id)}{which} "
        f"--start-date {moment} --end-date {moment}",
    )


def _conf(run: PastRun, kind: str, switch: str = "") -> dict[str, Any]:
    return _usable(run.given or {}, kind) | ({switch: True} if switch else {})


def _usable(given: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a new run may be given again."""
    found = {name: True for name in SWITCHES if given.get(name) is True}
    day = given.get("as_of_day")
    # Whatever else was given for a day stays out of a command: it could be a secret.
    if not isinstance(day, str) or not _DAY.fullmatch(day):
        return found
    # The day is looked at last: if it is at fault, then everything else can be used.
    rest_is_fine = given.keys() <= set(PARAMETERS) and all(
        isinstance(given.get(name, False), bool) for name in SWITCHES
    )
    return found if kind == BAD_PARAMETER and rest_is_fine else {"as_of_day": day} | found


def _of_broken_relations(
    tasks: Sequence[str], account: Account, critical: Sequence[Finding]
) -> Iterator[str]:
    """The tasks that refresh what is broken, the first to be refreshed first."""
    of_relation = {relation_of(task): task for task in reversed(tasks)}

    def refreshing(relations: Sequence[str]) -> list[str]:
        names = [relation.rpartition(".")[2] for relation in relations]
        return [of_relation[name] for name in names if name in of_relation]

    for finding in critical:
        # A finding whose rows name relations is about these.
        yield from refreshing(finding.layers) or refreshing([finding.relation])
    for failed in account.failed:
        yield from refreshing(failed.cause.about)


def _before_all(tasks: Sequence[str], include_dir: Path) -> str | None:
    """The task whose relation all others read, directly or not; None if there is none."""
    if len(tasks) == 1 or "prepare" in tasks:
        return "prepare" if "prepare" in tasks else tasks[0]
    try:
        store = read_store(include_dir)
    except StoreError:
        return None  # prepare reports a folder that cannot be read
    read_by = {
        r.name.relation: {below.name.relation for below in closure(store, r)}
        for r in store.refreshed
    }
    names = [relation_of(task) for task in tasks]
    for task in tasks:
        if all(relation_of(task) in read_by.get(name, ()) for name in names):
            return task
    return None
