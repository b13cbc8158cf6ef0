"""What the leak gates are told: ``include/leak_rules.toml``.

What an outcome is and who may read it, and what is not as of t0 by itself. Where a feature sees
more than was known at t0 all the same, `declared_exceptions` say why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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

EVERY_COLUMN = "*"


@dataclass(frozen=True)
class Outcome:
    """Columns that are known only after t0.

    Attributes:
        relation: whose columns.
        columns: their names; ``*`` alone means all columns that no other outcome of the relation
            names, and which rows there are.
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
        types: names of users' types for which a person vouches, each with the reason.
        as_of_adopted: more readers of as-of sources, as in ``as_of``. Each may read the source only
            where apply adopted it: if its own file reads the source, this does not allow it to.
    """

    path: Path
    as_of: dict[Name, dict[Name, frozenset[str]]]
    not_as_of: dict[Name, str]
    columns_not_as_of: dict[tuple[Name, str], str]
    outcomes: tuple[Outcome, ...]
    functions: dict[str, str]
    constants: frozenset[tuple[Name, str]] = frozenset()
    as_of_adopted: dict[Name, dict[Name, frozenset[str]]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    @property
    def vouched(self) -> frozenset[str]:
        """Functions by signature and types by name: no signature is a type's name."""
        return frozenset({*self.functions, *self.types})


def read_rules(include_dir: Path) -> LeakRules:
    """Read ``leak_rules.toml``.

    Raises:
        BadInput: the file is missing or malformed, has an unknown field, an empty reason, or says
            two things of one relation or function; the message names the file and the place.
    """
    path = include_dir / "leak_rules.toml"
    content = read_fields(path, _RulesInFile)
    whole = [r for r in content.not_as_of if not r.columns]
    only_once(
        path,
        "as_of and not_as_of",
        [*(r.relation for r in content.as_of), *(r.relation for r in whole)],
    )
    parts = [(r.relation, c) for r in content.not_as_of for c in r.columns]
    only_once(path, "not_as_of", [f"{relation}.{column}" for relation, column in parts])
    only_once(path, "function", [f.signature for f in content.function])
    only_once(path, "type", [t.name for t in content.type])
    outcomes = tuple(_outcome(path, place, o) for place, o in enumerate(content.outcome, start=1))
    only_once(path, "outcome", [f"{o.relation}.{c}" for o in outcomes for c in o.columns])
    return LeakRules(
        path=path,
        as_of=_as_of(path, [(r.relation, r.read_by) for r in content.as_of]),
        as_of_adopted=_as_of(path, [(r.relation, r.read_by_adopted) for r in content.as_of]),
        not_as_of={
            name_at(path, f"not_as_of, {place}", r.relation): r.reason
            for place, r in enumerate(content.not_as_of, start=1)
            if not r.columns
        },
        columns_not_as_of={
            (name_at(path, f"not_as_of, {place}", r.relation), column): r.reason
            for place, r in enumerate(content.not_as_of, start=1)
            for column in r.columns
        },
        outcomes=outcomes,
        functions={f.signature: f.reason for f in content.function},
        types={t.name: t.reason for t in content.type},
        constants=frozenset(
            (name_at(path, f"constant, {place}", c.relation), c.value)
            for place, c in enumerate(content.constant, start=1)
        ),
    )


class _AsOfInFile(Fields):
    relation: str
    reason: Text
    read_by: dict[str, list[Text]]
    read_by_adopted: dict[str, list[Text]] = Field(default={})


class _NotAsOfInFile(Fields):
    relation: str
    columns: list[Text] = Field(default=[])
    reason: Text


class _OutcomeInFile(Fields):
    relation: str
    columns: Annotated[list[Text], Field(min_length=1)]
    reason: Text
    read_by: dict[str, list[Text]]


class _FunctionInFile(Fields):
    signature: Text
    reason: Text


class _TypeInFile(Fields):
    name: Text
    reason: Text


class _ConstantInFile(Fields):
    relation: str
    value: Text
    reason: Text


class _RulesInFile(Fields):
    # Without an entry nothing is as of its day, and whatever is read of a source is a leak.
    as_of: list[_AsOfInFile] = Field(default=[])
    not_as_of: list[_NotAsOfInFile] = Field(default=[])
    outcome: list[_OutcomeInFile] = Field(default=[])
    function: list[_FunctionInFile] = Field(default=[])
    type: list[_TypeInFile] = Field(default=[])
    constant: list[_ConstantInFile] = Field(default=[])


def _outcome(path: Path, place: int, content: _OutcomeInFile) -> Outcome:
    where = f"outcome, {place}"
    if EVERY_COLUMN in content.columns and len(content.columns) > 1:
        raise BadInput(
            f"{path}: {where}: columns has {EVERY_COLUMN!r}, which means all, and "
            "other names as well."
        )
    return Outcome(
        relation=name_at(path, where, content.relation),
        columns=tuple(content.columns),
        read_by=_readers(path, where, content.read_by),
        reason=content.reason,
    )


def _as_of(
    path: Path, sources: list[tuple[str, dict[str, list[str]]]]
) -> dict[Name, dict[Name, frozenset[str]]]:
    return {
        name_at(path, f"as_of, {place}", relation): _readers(path, f"as_of, {place}", read_by)
        for place, (relation, read_by) in enumerate(sources, start=1)
    }


def _readers(path: Path, where: str, read_by: dict[str, list[str]]) -> dict[Name, frozenset[str]]:
    return {name_at(path, where, reader): frozenset(c) for reader, c in read_by.items()}
