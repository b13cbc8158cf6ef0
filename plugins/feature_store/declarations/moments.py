"""Words for the moment of asking that SQL files must not hold, and the dates that they do hold.

Of ``'today'::date`` PostgreSQL makes a constant when it creates a view: the day of that moment, for
every row and for good. The stored query shows a date, and no longer how it came there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time

from sqlglot.errors import SqlglotError

from feature_store.declarations.sql_statement import tokens_of

_MOMENTS = frozenset({"now", "today", "tomorrow", "yesterday"})
# What may stand beside such a word in a date, a range or an array of dates.
_BESIDE = frozenset({"am", "pm", "z", "utc", "gmt", "zulu", "allballs"})
_WORD = re.compile(r"[a-z]+")

Moment = date | datetime | time


def literals(text: str) -> tuple[str, ...]:
    """The quoted strings of some SQL, comments left out; none where it cannot be read."""
    try:
        tokens = tokens_of(text)
    except SqlglotError:
        return ()
    return tuple(token.text for token in tokens if token.token_type.name.endswith("STRING"))


def named_moments(text: str) -> list[str]:
    """The literals of some SQL that PostgreSQL may read as the moment at which it reads them."""
    return [literal for literal in literals(text) if _names_a_moment(literal)]


def written_moments(text: str) -> Iterator[Moment]:
    """The days and times that stand in some SQL as ISO 8601 has them, such as ``'2026-11-28'``."""
    for literal in literals(text):
        for read in (time.fromisoformat, datetime.fromisoformat):
            try:
                yield read(literal.strip())
            except ValueError:
                continue


def _names_a_moment(literal: str) -> bool:
    words = set(_WORD.findall(literal.lower()))
    return bool(words & _MOMENTS) and words <= _MOMENTS | _BESIDE
