"""The leak gates' input: ``include/leak_rules.toml`` and ``include/exceptions.toml``.

The rules say what an outcome is and who may read it, and what is not as of t0 by itself. The
declared exceptions say where a feature sees more than was known at t0, and why that is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.declarations.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.text_format import plural

EVERY_COLUMN = "*"

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
class Outcome:
    """Columns that are known only after t0.

    Attributes:
        relation: whose columns.
        columns: their names; ``*`` alone means all columns, and which rows there are.
        read_by: who may read them, each with its own columns that may be made of them.
        reason: what they say.
    """

    relation: Name
    columns: tuple[str, ...]
    read_by: dict[Name, frozenset[str]]
    reason: str


@dataclass(frozen=True)
class LeakRules:
    """What the gates know of the store; what they do not know fails.

    Attributes:
        path: the file.
        as_of: sources whose rows have a day, each with its readers and the columns that each of
            them reads, without outcomes.
        not_as_of: what is not as of t0 by itself, each with the reason.
        columns_not_as_of: single columns that are not, of sources that otherwise are, each with
            the reason.
        outcomes: what is known only after t0.
        functions: signatures of users' functions for which a person vouches, each with the reason.
        constants: relations and points in time in their queries, for which a person vouches that
            they were written as dates, and not made from ``'today'``.
    """

    path: Path
    as_of: dict[Name, dict[Name, frozenset[str]]]
    not_as_of: dict[Name, str]
    columns_not_as_of: dict[tuple[Name, str], str]
    outcomes: tuple[Outcome, ...]
    functions: dict[str, str]
    constants: frozenset[tuple[Name, str]] = frozenset()


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


def read_rules(include_dir: Path) -> LeakRules:
    """Read ``leak_rules.toml``.

    Raises:
        BadInput: the file is missing or malformed, has an unknown field, an empty reason, or says
            two things of one relation or function; the message names the file and the place.
    """
    path = include_dir / "leak_rules.toml"
    content = _read(path, _RulesInFile)
    whole = [r for r in content.not_as_of if not r.columns]
    _only_once(
        path,
        "as_of and not_as_of",
        [*(r.relation for r in content.as_of), *(r.relation for r in whole)],
    )
    parts = [(r.relation, c) for r in content.not_as_of for c in r.columns]
    _only_once(path, "not_as_of", [f"{relation}.{column}" for relation, column in parts])
    _only_once(path, "function", [f.signature for f in content.function])
    outcomes = tuple(_outcome(path, place, o) for place, o in enumerate(content.outcome, start=1))
    _only_once(path, "outcome", [f"{o.relation}.{c}" for o in outcomes for c in o.columns])
    return LeakRules(
        path=path,
        as_of={
            _name(path, f"as_of, {place}", r.relation): _readers(path, f"as_of, {place}", r.read_by)
            for place, r in enumerate(content.as_of, start=1)
        },
        not_as_of={
            _name(path, f"not_as_of, {place}", r.relation): r.reason
            for place, r in enumerate(content.not_as_of, start=1)
            if not r.columns
        },
        columns_not_as_of={
            (_name(path, f"not_as_of, {place}", r.relation), column): r.reason
            for place, r in enumerate(content.not_as_of, start=1)
            for column in r.columns
        },
        outcomes=outcomes,
        functions={f.signature: f.reason for f in content.function},
        constants=frozenset(
            (_name(path, f"constant, {place}", c.relation), c.value)
            for place, c in enumerate(content.constant, start=1)
        ),
    )


def read_exceptions(include_dir: Path) -> tuple[DeclaredException, ...]:
    """Read ``exceptions.toml``.

    Raises:
        BadInput: the file is missing or malformed, has an unknown field, an empty text, an id that
            is there twice, an exception that does not say either ``reads`` or ``calls``, or one
            that taints nothing, or an unknown badge; the message names the file and the place.
    """
    path = include_dir / "exceptions.toml"
    content = _read(path, _ExceptionsInFile)
    _only_once(path, "exception", [e.id for e in content.exception])
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


_Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _AsOfInFile(_Strict):
    relation: str
    reason: _Text
    read_by: dict[str, list[_Text]]


class _NotAsOfInFile(_Strict):
    relation: str
    columns: list[_Text] = []
    reason: _Text


class _OutcomeInFile(_Strict):
    relation: str
    columns: Annotated[list[_Text], Field(min_length=1)]
    reason: _Text
    read_by: dict[str, list[_Text]]


class _FunctionInFile(_Strict):
    signature: _Text
    reason: _Text


class _ConstantInFile(_Strict):
    relation: str
    value: _Text
    reason: _Text


class _RulesInFile(_Strict):
    as_of: list[_AsOfInFile]
    not_as_of: list[_NotAsOfInFile]
    outcome: list[_OutcomeInFile]
    function: list[_FunctionInFile] = []
    constant: list[_ConstantInFile] = []


class _ExceptionInFile(_Strict):
    id: _Text
    title: _Text
    relation: str
    reads: str | None = None
    calls: _Text | None = None
    columns: list[_Text] = []
    badge: _Text
    taints: Annotated[dict[str, Annotated[list[_Text], Field(min_length=1)]], Field(min_length=1)]
    says: _Text
    reason: _Text


class _ExceptionsInFile(_Strict):
    exception: list[_ExceptionInFile] = []


_Content = TypeVar("_Content", bound=BaseModel)


def _read(path: Path, model: type[_Content]) -> _Content:
    written = read_toml(path)
    try:
        return model.model_validate(written)
    except ValidationError as error:
        first = error.errors()[0]
        # Entries are counted from 1 in messages.
        where = ", ".join(str(p + 1 if isinstance(p, int) else p) for p in first["loc"])
        said = {
            "missing": "the field is missing.",
            "extra_forbidden": "the field is unknown.",
            "model_type": "expected a table of fields, as in the package's own file.",
        }.get(first["type"], f"{first['msg']}.")
        raise BadInput(f"{path}: {where}: {said}") from None


def _outcome(path: Path, place: int, content: _OutcomeInFile) -> Outcome:
    where = f"outcome, {place}"
    if EVERY_COLUMN in content.columns and len(content.columns) > 1:
        raise BadInput(
            f"{path}: {where}: columns has {EVERY_COLUMN!r}, which means all, and "
            "other names as well."
        )
    return Outcome(
        relation=_name(path, where, content.relation),
        columns=tuple(content.columns),
        read_by=_readers(path, where, content.read_by),
        reason=content.reason,
    )


def _readers(path: Path, where: str, read_by: dict[str, list[str]]) -> dict[Name, frozenset[str]]:
    return {_name(path, where, reader): frozenset(c) for reader, c in read_by.items()}


def _exception(path: Path, content: _ExceptionInFile) -> DeclaredException:
    if (content.reads is None) == (content.calls is None):
        raise BadInput(f"{path}: {content.id}: expected one of reads and calls.")
    if content.columns and content.reads is None:
        raise BadInput(f"{path}: {content.id}: columns belongs to reads, and reads is missing.")
    _only_once(path, f"{content.id}, columns", content.columns)
    if content.badge not in BADGES or content.badge == PROVEN:
        known = ", ".join(badge for badge in BADGES if badge != PROVEN)
        where = f"{path}: {content.id}"
        raise BadInput(f"{where}: the badge is {content.badge!r}; expected one of {known}.")
    for feature_set, features in content.taints.items():
        _only_once(path, f"{content.id}, taints, {feature_set}", features)
    return DeclaredException(
        id=content.id,
        title=content.title,
        relation=_name(path, content.id, content.relation),
        reads=None if content.reads is None else _name(path, content.id, content.reads),
        calls=content.calls,
        columns=tuple(content.columns),
        badge=content.badge,
        taints={s: tuple(features) for s, features in content.taints.items()},
        says=content.says,
        reason=content.reason,
    )


def _name(path: Path, where: str, text: str) -> Name:
    try:
        return Name.parse(text)
    except BadInput as error:
        raise BadInput(f"{path}: {where}: {error.problem}") from None


def _only_once(path: Path, where: str, texts: Iterable[str]) -> None:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            raise BadInput(f"{path}: {where}: {text!r} is listed twice.")
        seen.add(text)
