"""Why something failed: in a few words, and in our own words inside what Airflow wrapped around."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from feature_store.errors import CannotConnect, StoreError

_IN_SHORT = {
    "08": "connection lost",
    "23505": "duplicate key",
    "25P03": "silent for too long in a transaction",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "42501": "permission denied",
    "53": "server out of resources",
    "55P03": "lock timeout",
    "57014": "cancelled, or statement timeout",
    "57P": "connection lost, server going down or starting",
}


def cause_of(error: BaseException) -> str:
    """An error's cause in a few words, for a subject line."""
    for link in _chain(error):
        if isinstance(link, CannotConnect):
            return link.problem.strip().partition("\n")[0]
        if isinstance(link, psycopg.Error):
            return _short(link)
    told = told_by(error)
    return in_one_line(told.problem if told else str(error) or type(error).__name__)


def in_one_line(problem: str) -> str:
    """What an account of a problem begins with; of one that announces a list, its first item."""
    head, items = _announced(problem)
    return items or head


def with_its_head(problem: str) -> str:
    """As `in_one_line`, and before the first item what announces it."""
    head, items = _announced(problem)
    return f"{head} {items}".strip()


def _announced(problem: str) -> tuple[str, str]:
    head, *rest = problem.strip().split("\n")
    items = [line.removeprefix("  - ") for line in rest if line.startswith("  - ")]
    if not head.endswith(":") or not items:
        return head, ""
    more = f", and {len(items) - 1} more" if len(items) > 1 else ""
    return head, (items[0].removesuffix(".") + more if more else items[0])


def told_by(error: BaseException | None) -> StoreError | None:
    """The error in our own words, inside whatever Airflow wrapped around it."""
    return next((link for link in _chain(error) if isinstance(link, StoreError)), None)


def _short(error: psycopg.Error) -> str:
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError)
        return "connection lost" if lost else str(error).strip().partition("\n")[0]
    for length in (5, 3, 2):
        if state[:length] in _IN_SHORT:
            return _IN_SHORT[state[:length]]
    return error.diag.message_primary or str(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
