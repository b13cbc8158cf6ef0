"""Where a feature sees more than was known at t0, and why: ``include/exceptions.toml``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from feature_store.declarations.files.toml_fields import (
    Fields,
    Text,
    name_at,
    only_once,
    read_fields,
)
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.text_format import plural

PROVEN = "proven as of t0"
BADGES = {
    "updated in place": "The source overwrites it, so nobody knows its value at t0.",
    "live": "As the source is at the moment of reading.",
    "as of refresh": "As the source was at the last refresh.",
    "same-day": "Knows the whole day of t0, including what came later that day.",
    PROVEN: "Compared every night with what was known at t0.",
}
"""What a feature's values know, in a word or two; the first one that applies is used."""


@dataclass(frozen=True)
class DeclaredException:
    """Where a feature sees more than was known at t0, and why that is kept.

    Attributes:
        id: its name in reports.
        title: what it is, in a few words.
        relation: the relation in which it happens.
        reads: what it reads that is not as of t0; None if the exception is a call.
        calls: the function that it calls and whose answer depends on the reader's session; None if
            the exception is a read.
        columns: the columns of what it reads that it is about; empty: all.
        badge: one of `BADGES`, for the features that it reaches.
        taints: the features that it reaches, by feature set.
        says: the words that comments of tainted columns must contain.
        reason: why it is kept.
    """

    id: str
    title: str
    relation: Name
    reads: Name | None
    calls: str | None
    columns: tuple[str, ...]
    badge: str
    taints: dict[str, tuple[str, ...]]
    says: str
    reason: str

    def __str__(self) -> str:
        """The exception as a person reads it."""
        n = sum(len(features) for features in self.taints.values())
        what = f"{', '.join(self.columns)} of {self.reads}" if self.columns else self.reads
        reaches = f"{self.relation} {'reads' if self.reads else 'calls'} {what or self.calls}"
        return (
            f"{self.title} ({self.id}, {self.badge}): {reaches}; reaches {plural(n, 'feature')}.\n"
            f"{self.reason}"
        )


def read_exceptions(include_dir: Path) -> tuple[DeclaredException, ...]:
    """Read ``exceptions.toml``.

    Raises:
        BadInput: the file is missing or malformed, has an unknown field, an empty text, an id that
            is there twice, an exception that does not say either ``reads`` or ``calls``, or one
            that taints nothing, or an unknown badge; the message names the file and the place.
    """
    path = include_dir / "exceptions.toml"
    content = read_fields(path, _ExceptionsInFile)
    only_once(path, "exception", [e.id for e in content.exception])
    return tuple(_exception(path, e) for e in content.exception)


def tainted_by(
    exceptions: Iterable[DeclaredException],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The ids of the exceptions that reach a feature, by feature set and feature."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for exception in exceptions:
        for feature_set, features in exception.taints.items():
            for feature in features:
                key = (feature_set, feature)
                found[key] = (*found.get(key, ()), exception.id)
    return found


def badge_of(exceptions: Iterable[DeclaredException]) -> str:
    """What a feature's values know, by the exceptions that reach it."""
    given = {exception.badge for exception in exceptions}
    return next((badge for badge in BADGES if badge in given), PROVEN)


class _ExceptionInFile(Fields):
    id: Text
    title: Text
    relation: str
    reads: str | None = None
    calls: Text | None = None
    columns: list[Text] = Field(default=[])
    badge: Text
    taints: Annotated[dict[str, Annotated[list[Text], Field(min_length=1)]], Field(min_length=1)]
    says: Text
    reason: Text


class _ExceptionsInFile(Fields):
    exception: list[_ExceptionInFile] = Field(default=[])


def _exception(path: Path, content: _ExceptionInFile) -> DeclaredException:
    if (content.reads is None) == (content.calls is None):
        raise BadInput(f"{path}: {content.id}: expected one of reads and calls.")
    if content.columns and content.reads is None:
        raise BadInput(f"{path}: {content.id}: columns belongs to reads, and reads is missing.")
    only_once(path, f"{content.id}, columns", content.columns)
    if content.badge not in BADGES or content.badge == PROVEN:
        known = ", ".join(badge for badge in BADGES if badge != PROVEN)
        where = f"{path}: {content.id}"
        raise BadInput(f"{where}: the badge is {content.badge!r}; expected one of {known}.")
    for feature_set, features in content.taints.items():
        only_once(path, f"{content.id}, taints, {feature_set}", features)
    return DeclaredException(
        id=content.id,
        title=content.title,
        relation=name_at(path, content.id, content.relation),
        reads=None if content.reads is None else name_at(path, content.id, content.reads),
        calls=content.calls,
        columns=tuple(content.columns),
        badge=content.badge,
        taints={s: tuple(features) for s, features in content.taints.items()},
        says=content.says,
        reason=content.reason,
    )
