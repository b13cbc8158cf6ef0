"""Which warnings people know of: the checks that warn, and what their rows name.

An unknown token is news also where another one has long been known. So what a row of a warning
names in words (a token, a feature, a relation) is told once, for as long as its check warns.
Numbers and days do not count: they differ each night. Rows that have the store's key are examples
of many, and name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from feature_store.reporting.run.facts import Finding
from feature_store.text_format import in_words

_MOST_NAMED = 3
_DAY = re.compile(r"\d{4}-\d\d(?!\d)")


def check_of(warning: str) -> str:
    """The check of a warning as the record keeps it, without what a row of it names."""
    return warning.partition("\n")[0]


def known_as(finding: Finding, key: str) -> frozenset[str]:
    """A warning as the record keeps it: its check, and beside it all that its rows name.

    Args:
        finding: a warning.
        key: the column that names the store's entities; empty: none.
    """
    check = f"{finding.relation}: {finding.expected}"
    return frozenset([check, *(f"{check}\n{name}" for name in _names(finding, key))])


def still_known(told: Iterable[str], now: Iterable[str]) -> frozenset[str]:
    """What people have been told of checks that still warn, and all that warns now."""
    now = frozenset(now)
    return now | {warning for warning in told if check_of(warning) in now}


def news_of(finding: Finding, key: str, told: frozenset[str]) -> tuple[str, Finding] | None:
    """What is new about a warning, in a line, and the warning, new rows first; None: nothing."""
    new = known_as(finding, key) - told
    if not new:
        return None
    known = f"{finding.relation}: {finding.expected}"
    if known in new:
        return _line(finding), finding
    names = [name for name in _names(finding, key) if f"{known}\n{name}" in new]
    rows = sorted(finding.sample, key=lambda row: _name(row, key) not in names)
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    news = in_words([*names[:_MOST_NAMED], *more])
    expected = f"{finding.expected}, now also of {news}"
    told_of = replace(finding, expected=expected, sample=tuple(rows))
    return _line(told_of), told_of


def _line(finding: Finding) -> str:
    return f"{finding.relation}: expected {finding.expected}"


def _names(finding: Finding, key: str) -> Sequence[str]:
    found = dict.fromkeys(_name(row, key) for row in finding.sample)
    return [name for name in found if name]


def _name(row: dict[str, object], key: str) -> str:
    """What a row names in words."""
    if key in row:
        return ""
    texts = [text for _, text in sorted(row.items()) if isinstance(text, str)]
    return ", ".join(text for text in texts if not _DAY.match(text))
