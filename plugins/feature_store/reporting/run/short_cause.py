"""Why something failed, in a few words; also finds our own error inside Airflow's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import psycopg

from feature_store.errors import CannotConnect, ConnectionRefused, StoreError

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
# How the server names a key and its values, in any language. It leaves them out for a role that may
# not read the column.
_KEY = re.compile(r"\(.+?\)=\(.*\)")


def cause_of(error: BaseException) -> str:
    """An error's cause in a few words, for a subject line."""
    for link in _chain(error):
        if isinstance(link, CannotConnect):
            return short(link.problem.strip().partition("\n")[0])
        if isinstance(link, psycopg.Error):
            return _short(link)
    told = told_by(error)
    if told is None:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return _listed(told.items) or told.head.strip().partition("\n")[0]


def short(cause: str) -> str:
    """A cause without what every one of its kind begins with, so that a cut line has the reason."""
    return cause.removeprefix(ConnectionRefused.BEGINS)


def brief(head: str, items: Sequence[str]) -> str:
    """A problem in one line; if it only announces a list, with the first item."""
    first = head.strip().partition("\n")[0]
    return f"{first} {_listed(items)}".strip() if first.endswith(":") else first


def _listed(items: Sequence[str]) -> str:
    """The first of some items, and how many more there are."""
    if not items:
        return ""
    first = items[0].strip().partition("\n")[0]
    return f"{first.removesuffix('.')}, and {len(items) - 1} more" if len(items) > 1 else first


def told_by(error: BaseException | None) -> StoreError | None:
    """Our own error, inside whatever Airflow has wrapped around it."""
    return next((link for link in _chain(error) if isinstance(link, StoreError)), None)


def _short(error: psycopg.Error) -> str:
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError)
        return "connection lost" if lost else str(error).strip().partition("\n")[0]
    known = next((_IN_SHORT[state[:n]] for n in (5, 3, 2) if state[:n] in _IN_SHORT), None)
    if known is None:
        return error.diag.message_primary or str(error)
    key = _KEY.search(error.diag.message_detail or "") if state == "23505" else None
    return f"{known} {key.group()}" if key else known


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
