"""Words for the moment of asking, which SQL files must not have, and the dates that they have.

When PostgreSQL creates a view, it turns ``'today'::date`` into a constant: that day, for every row
and forever. The stored query shows only the date, not where it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time

from sqlglot.errors import SqlglotError

from feature_store.declarations.files.sql_statement import tokens_of

_MOMENTS = frozenset({"now", "today", "tomorrow", "yesterday"})
# What may come next to such a word in a date, a range or an array of dates.
_BESIDE = frozenset({"am", "pm", "z", "utc", "gmt", "zulu", "allballs"})
_WORD = re.compile(r"[a-z]+")
# A row, or an array of rows: a field of it may be such a word.
_ROW = re.compile(r"\s*(\(|\{\s*\"\()")
_BETWEEN_FIELDS = re.compile(r'[,"\\(){}]')

Moment = date | datetime | time


def literals(text: str) -> tuple[str, ...]:
    """The quoted strings of some SQL, without comments; none if it cannot be read."""
    try:
        tokens = tokens_of(text)
    except SqlglotError:
        return ()
    return tuple(token.text for token in tokens if token.token_type.name.endswith("STRING"))


def named_moments(text: str) -> list[str]:
    """The literals of some SQL that PostgreSQL may replace by the current moment."""
    return [literal for literal in literals(text) if _names_a_moment(literal)]


def written_moments(text: str) -> Iterator[Moment]:
    """The days and times in some SQL that are written in ISO 8601, such as ``'2026-11-28'``."""
    for literal in literals(text):
        for read in (time.fromisoformat, datetime.fromisoformat):
            try:
                yield read(literal.strip())
            except ValueError:
                continue


def _names_a_moment(literal: str) -> bool:
    if _ROW.match(literal):
        return any(map(_is_a_moment, _BETWEEN_FIELDS.split(literal)))
    return _is_a_moment(literal)


def _is_a_moment(text: str) -> bool:
    words = set(_WORD.findall(text.lower()))
    return bool(words & _MOMENTS) and words <= _MOMENTS | _BESIDE
