"""The contracts of a store that was found: out of its own registry, or a sketch of each set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any

import psycopg
from psycopg import sql

from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import NOT_IN_A_NAME
from feature_store.declarations.undecided import MARK
from feature_store.relation_name import Name
from feature_store.schema.first_folder.found_store import FoundRelation, FoundStore
from feature_store.schema.first_folder.layers import key_of
from feature_store.schema.first_folder.sql_files import one_line, said_of
from feature_store.schema.first_folder.toml_files import text, texts

_DTYPES = {
    "smallint": "int",
    "integer": "int",
    "bigint": "int8",
    "numeric": "numeric",
    "real": "float8",
    "double precision": "float8",
    "text": "text",
    "character varying": "text",
}
_FILE = re.compile(r"[A-Za-z0-9_-]{1,50}")
_RULE = (
    f"{MARK} how are these kept from what comes after t0, in a word (clip_at_t0)? What is no "
    "feature goes to other_columns. Delete this file if no model reads it"
)


@dataclass(frozen=True)
class RegisteredSet:
    """A feature set that the database knows.

    Attributes:
        schema: whose registry has it.
        name: its name.
        rows: ordinal, name, dtype, expression, rule, whether it may be NULL, description.
    """

    schema: str
    name: str
    rows: tuple[tuple[Any, ...], ...]


def registered_sets(connection: Connection, schemas: Sequence[str]) -> tuple[RegisteredSet, ...]:
    """The feature sets of the registries that these schemas have; what may not be read is none."""
    return tuple(found for schema in schemas for found in _registered(connection, schema))


def _registered(connection: Connection, schema: str) -> Iterator[RegisteredSet]:
    wanted = {
        "feature_set": {"set_id", "name"},
        "feature_contract": {
            "set_id", "ordinal", "feature_name", "dtype", "expr_sql", "leakage_rule",
            "is_nullable", "description",
        },
    }  # fmt: skip
    if any(w - live_columns(connection, Name(schema, t)).keys() for t, w in wanted.items()):
        return
    try:
        with connection.transaction():
            rows = connection.execute(
                sql.SQL(
                    "SELECT s.name, s.set_id, c.ordinal, c.feature_name, c.dtype, c.expr_sql, "
                    "c.leakage_rule, c.is_nullable, c.description FROM {} AS s "
                    "INNER JOIN {} AS c ON s.set_id = c.set_id ORDER BY 1, 2, 3"
                ).format(
                    sql.Identifier(schema, "feature_set"),
                    sql.Identifier(schema, "feature_contract"),
                )
            ).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return
    for (name, _), its_own in groupby(rows, key=lambda row: row[:2]):
        yield RegisteredSet(schema, name, tuple(row[2:] for row in its_own))


def left_out(known: Sequence[RegisteredSet]) -> tuple[str, ...]:
    """The sets that get no file, as none can be called by their name."""
    return tuple(dict.fromkeys(one.name for one in known if not _FILE.fullmatch(one.name)))


def contract_files(found: FoundStore, known: Sequence[RegisteredSet]) -> dict[str, str]:
    """The texts of all contract files, by path."""
    files = {
        f"contracts/{called}.toml": _of_registry(found, one, called)
        for called, one in _called([one for one in known if _FILE.fullmatch(one.name)])
    }
    if files:
        return files
    # At least one: a store without a contract would pass every check of contracts.
    for relation in [r for r in found.tops if _features(r)] or found.tops[:1]:
        name = relation.name.relation
        files[f"contracts/{name}.toml"] = _sketch(relation, name)
    return files


def _called(known: Sequence[RegisteredSet]) -> Iterator[tuple[str, RegisteredSet]]:
    """The sets, each with a name of its own: of several of one name all but the first get a number.

    One that is shown twice alike, as by a view of the registry, comes once.
    """
    taken = {one.name for one in known}
    found: dict[str, list[object]] = {}
    for one in known:
        twins = found.setdefault(one.name, [])
        if one.rows in twins:
            continue
        twins.append(one.rows)
        called = one.name
        if len(twins) > 1:
            numbered = (f"{one.name[:45]}_{number}" for number in count(2))
            called = next(name for name in numbered if name not in taken)
            taken.add(called)
        yield called, one


def _of_registry(found: FoundStore, one: RegisteredSet, called: str) -> str:
    names = [row[1] for row in one.rows]
    fitting = [r for r in found.relations.values() if not set(names) - r.columns.keys()]
    # If several fit, the one that reads the others.
    under = {name for r in fitting for name in found.below(r.name)}
    tops = [r for r in fitting if r.name not in under]
    carrier = (tops or fitting or list(found.relations.values()))[0]
    mark = "" if len(tops) == 1 else f"  # {MARK} which relation carries it?"
    rules = [row[4] for row in one.rows if row[4]]
    rule = max(rules, key=rules.count, default=_RULE)
    rows = [
        _row(ordinal, name, dtype, str(description or name), nullable=bool(nullable))
        + (f", expr_sql = {text(expression)}" if expression not in (None, name) else "")
        + (f", leakage_rule = {text(own)}" if own and own != rule else "")
        for ordinal, name, dtype, expression, own, nullable, description in one.rows
    ]
    others = [column for column in carrier.columns if column not in names]
    head = f"# As the registry of {one.schema} has it."
    if called != one.name:
        head += (
            f"\n# {MARK} another set is called {one.name}, too. Keep one of the two files; or this "
            f"one as {called}, and let its readers ask for that"
        )
    return _contract(head, Name(one.schema, called), carrier, mark, others, rule, rows)


def _sketch(relation: FoundRelation, name: str) -> str:
    features = _features(relation) or _features(relation, keys=True)
    others = [column for column in relation.columns if column not in features]
    rows = [
        _row(ordinal, column, dtype, one_line(_described(relation, column)), nullable=True)
        for ordinal, (column, dtype) in enumerate(features.items(), start=1)
    ]
    said = said_of(relation) or f"What models read of {relation.name}."
    return _contract(
        f"# {said}", Name(relation.name.schema, name), relation, "", others, _RULE, rows
    )


def _features(relation: FoundRelation, *, keys: bool = False) -> dict[str, str]:
    """The columns that a model may well read, with their dtype: no moment, and nothing of a key.

    A column that no contract can name is no feature, either.
    """
    left_out = () if keys else key_of(relation)
    return {
        column: _DTYPES[kind]
        for column, kind in relation.columns.items()
        if kind in _DTYPES and column not in left_out and not NOT_IN_A_NAME & set(column)
    }


def _described(relation: FoundRelation, column: str) -> str:
    return relation.column_comments.get(column) or column


def _row(ordinal: int, name: str, dtype: str, description: str, *, nullable: bool) -> str:
    null = "" if nullable else ", is_nullable = false"
    return (
        f"ordinal = {ordinal}, name = {text(name)}, dtype = {text(dtype)}{null}, "
        f"description = {text(description)}"
    )


def _contract(
    head: str,
    called: Name,
    relation: FoundRelation,
    mark: str,
    others: Sequence[str],
    rule: str,
    rows: Sequence[str],
) -> str:
    return "\n".join(
        [
            head,
            f"name = {text(called.relation)}",
            f"schema = {text(called.schema)}",
            f"relation = {text(str(relation.name))}{mark}",
            f"other_columns = {texts(others)}",
            "# With these two, a log keeps what the set held when it was first certified:",
            '# entity = "the column that a row is about"',
            '# t0 = "schema.relation.column"',
            f"leakage_rule = {text(rule)}",
            "features = [",
            *(f"  {{ {row} }}," for row in rows),
            "]",
            "",
        ]
    )
