"""Why a run failed, as data. It is kept with the verdict; mail, report, page and log show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from feature_store.audit.lease import STOPPED
from feature_store.declarations.dag_outline import EXPECTATIONS, Refresh
from feature_store.reporting.run.short_cause import brief, cause_of, told_by

_ENDED = ("success", "failed")
# In the order of a run: what fails first keeps the rest from running.
_GROUPS = ("prepare", *Refresh, EXPECTATIONS)
# The most causes or items kept, and the longest text. The log has the rest.
_MOST, _LONGEST = 10, 300


@dataclass(frozen=True)
class Cause:
    """Why a task failed, as it says itself.

    Attributes:
        text: in a few words; empty if unknown.
        kind: the error's class, such as ``CannotConnect`` or ``UniqueViolation``.
        about: the relations to refresh again, if not the task's own.
        items: its parts as a list, such as every missing privilege.
        next_step: what to do, as the error says.
    """

    text: str = ""
    kind: str = ""
    about: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    next_step: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Cause:
        """From an error, whatever Airflow has wrapped around it."""
        told = told_by(error)
        text, kind = cause_of(error)[:_LONGEST], type(told or error).__name__
        if told is None:
            return cls(text, kind)
        items = tuple(item[:_LONGEST] for item in told.items[:_MOST])
        return cls(text, kind, told.about[:_MOST], items, told.next_step or "")

    @classmethod
    def read(cls, value: Any) -> Cause:
        """From what was kept."""
        if not isinstance(value, Mapping):
            return cls(str(value or ""))
        return cls(
            value["text"],
            value["kind"],
            tuple(value["about"]),
            tuple(value["items"]),
            value["next_step"],
        )


@dataclass(frozen=True)
class FailedTask:
    """A task that failed, as Airflow shows it, and why."""

    task_id: str
    cause: Cause = Cause()

    @property
    def suite(self) -> str | None:
        """The suite that it checks, if it checks one."""
        return _suite(self.task_id)

    def __str__(self) -> str:
        return f"{self.task_id} failed" + (f": {self.cause.text}" if self.cause.text else "")


@dataclass(frozen=True)
class Account:
    """Why a run failed.

    Attributes:
        head: what the verdict's task raised, without its items.
        items: what of it stands as a list.
        kind: the error's class.
        next_step: what to do, as the error says.
        readers: what it says of readers.
        failed: the tasks that failed before the verdict's, first things first.
        never_ran: the tasks that came to no end of their own.
    """

    head: str = ""
    items: tuple[str, ...] = ()
    kind: str = ""
    next_step: str = ""
    readers: str = ""
    failed: tuple[FailedTask, ...] = ()
    never_ran: tuple[str, ...] = ()

    @property
    def was_stopped(self) -> bool:
        """Whether the run just ended, so that nobody said why: another run closed its record."""
        return self.head == STOPPED and not any(failed.cause.kind for failed in self.failed)

    @property
    def brief(self) -> str:
        """What was raised, in one line."""
        return brief(self.head, self.items)

    @property
    def suites_not_reached(self) -> set[str | None]:
        """The suites whose tasks came to no end of their own."""
        return {_suite(task) for task in self.never_ran}

    def raised(self, error: BaseException | None) -> Account:
        """The same, with what the verdict's task raised."""
        if error is None:
            return self
        told = told_by(error)
        if told is None:
            return replace(self, head=f"{type(error).__name__}: {error}", kind=type(error).__name__)
        return replace(
            self,
            head=told.head,
            items=told.items,
            kind=type(told).__name__,
            next_step=told.next_step or "",
            readers=told.readers or "",
        )

    def record(self) -> dict[str, Any]:
        """The account as plain values, for the record."""
        return asdict(self)

    @classmethod
    def read(cls, recorded: Mapping[str, Any] | None, problem: str | None) -> Account:
        """From the record. Old verdicts kept no data, only the words."""
        if recorded is None:
            head, *items = (problem or "").split("\n  - ")
            return cls(head=head, items=tuple(items))
        tasks = [FailedTask(t["task_id"], Cause.read(t["cause"])) for t in recorded["failed"]]
        return cls(
            **dict(recorded)
            | {
                "items": tuple(recorded["items"]),
                "failed": tuple(tasks),
                "never_ran": tuple(recorded["never_ran"]),
            }
        )


def _suite(task_id: str) -> str | None:
    group, _, name = task_id.rpartition(".")
    return name if group == EXPECTATIONS else None


def account_of_tasks(
    states: Mapping[str, str | None], verdict: str, cause: Any = lambda _: None
) -> Account:
    """Why a run failed, according to the states of its tasks.

    Args:
        states: by task.
        verdict: the task that gives the verdict; it is left out.
        cause: gives the cause that a failed task has left.
    """
    others = sorted((task for task in states if task != verdict), key=_order)
    failed = [task for task in others if states[task] == "failed"]
    return Account(
        failed=tuple(
            FailedTask(task, Cause.read(cause(task)) if n < _MOST else Cause())
            for n, task in enumerate(failed)
        ),
        never_ran=tuple(task for task in others if states[task] not in _ENDED),
    )


def _order(task_id: str) -> tuple[int, str]:
    group = task_id.partition(".")[0]
    return _GROUPS.index(group) if group in _GROUPS else len(_GROUPS), task_id
