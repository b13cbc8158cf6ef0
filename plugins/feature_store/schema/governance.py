"""The governance files: tables and functions that each of our two schemas has.

They come as a whole, but part by part into a database that has some of them: a table that was there
before us and has our columns is kept with its rows, a function is replaced only by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlglot
from psycopg import Connection
from sqlglot import exp

from feature_store.database.catalog import describe_governance
from feature_store.declarations.source_tables import FAMILIES, live_columns
from feature_store.declarations.sql_file import Statement, split_statements
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.schema.live_function import LiveFunction, live_function
from feature_store.text_format import difference

GOVERNED_SCHEMAS = ("ml", "feature_store")
GOVERNANCE_TABLES = (
    "feature_set",
    "feature_contract",
    "feature_set_current",
    "feature_set_binding",
)
GOVERNANCE_FUNCTIONS = (
    "check_feature_contract",
    "assert_feature_contract",
    "require_certified",
    "store_freshness",
)

_KINDS = {
    "feature_contract.sql": "feature contracts",
    "certification.sql": "certification guard",
    "freshness.sql": "freshness guard",
}
# Readers call these and nothing of ours does, so a reader's own may stay.
_FOR_READERS = ("assert_feature_contract", "require_certified", "store_freshness")
# What stamping relies on in tables that it did not create.
_UNIQUE = {"feature_set": ("set_id", "name"), "feature_set_current": ("singleton_id",)}
_MADE = re.compile(r'CREATE (?P<kind>TABLE|FUNCTION) "\w+"\.(?P<name>\w+)')
_ON = re.compile(r'COMMENT ON \w+ "\w+"\.(?P<name>\w+)', re.IGNORECASE)
_BODY = re.compile(r"\$function\$(.*)\$function\$", re.DOTALL)
_ARGUMENT = re.compile(r"p_\w+ (\w+)")


@dataclass(frozen=True)
class Part:
    """A table or a function of a governance file, in one schema.

    Attributes:
        name: its name.
        create: the statement that creates it.
        normal: the same, normalised.
        arguments: of a function, as the server spells their types; None for a table.
        comments: the statements that comment on it.
    """

    name: Name
    create: str
    normal: str
    arguments: str | None
    comments: list[str] = field(default_factory=list)

    @property
    def statements(self) -> tuple[str, ...]:
        """What creates it, a function for nobody yet: ``roles.sql`` says who may call it."""
        return (self.create, *self.closed)

    @property
    def closed(self) -> tuple[str, ...]:
        """What takes a function from everybody, whom PostgreSQL lets call any new one."""
        if self.arguments is None:
            return ()
        return (f"REVOKE ALL ON FUNCTION {self.name.quoted}({self.arguments}) FROM PUBLIC",)

    @property
    def body(self) -> str:
        """A function's text between its dollar quotes."""
        match = _BODY.search(self.create)
        return match[1] if match else ""

    @property
    def columns(self) -> dict[str, str]:
        """A table's columns and the types that the file gives them."""
        table = sqlglot.parse_one(self.create, dialect="postgres")
        return {
            column.name: column.args["kind"].sql("postgres").lower()
            for column in table.find_all(exp.ColumnDef)
        }


@dataclass(frozen=True)
class Governance:
    """A governance file as it is for one schema.

    Attributes:
        schema: whose.
        label: how it is called in messages and in the audit schema.
        parts: its tables and functions, in an order in which they can be created.
        dictionary: its comments, normalised.
    """

    schema: str
    label: str
    parts: tuple[Part, ...]
    dictionary: str

    @property
    def definition(self) -> str:
        """What makes it what it is, normalised."""
        return ";\n".join(part.normal for part in self.parts)

    def describe(self, connection: Connection[Any]) -> str | None:
        """The server's description of what exists of it; None if nothing does."""
        tables = [p.name.relation for p in self.parts if p.arguments is None]
        functions = [(p.name.relation, p.arguments) for p in self.parts if p.arguments]
        return describe_governance(connection, self.schema, tables, functions)


@dataclass(frozen=True)
class Standing:
    """How the parts of a governance file stand to what a database has of them.

    Attributes:
        create: parts that are missing.
        replace: functions to replace: they differ, and were named.
        misfits: what stands in the way, in words with the way out.
        kept: what differs and may, in words.
        outgrown: the functions among the misfits, which could be named and replaced.
    """

    create: tuple[Part, ...]
    replace: tuple[Part, ...]
    misfits: tuple[str, ...]
    kept: tuple[str, ...]
    outgrown: tuple[str, ...]


def read_governance(include_dir: Path) -> tuple[Governance, ...]:
    """Read the governance files, for each of our schemas.

    Raises:
        BadInput: a file cannot be read.
    """
    return tuple(
        _governance(include_dir / "sql" / "governance" / file, kind, schema)
        for file, kind in _KINDS.items()
        for schema in GOVERNED_SCHEMAS
    )


def standing(
    connection: Connection[Any],
    governance: Governance,
    named: Collection[str],
    recorded: tuple[str, str] | None,
) -> Standing:
    """Compare part by part.

    Args:
        connection: a pinned session.
        governance: what the file says.
        named: functions that may be replaced, and tables that were altered as the file says.
        recorded: the file's and the server's description when it was applied; None before that.
    """
    create: list[Part] = []
    replace: list[Part] = []
    misfits: list[str] = []
    kept: list[str] = []
    outgrown: list[str] = []
    for part in governance.parts:
        if part.arguments is None:
            live = live_columns(connection, part.name)
            if not live:
                create.append(part)
            else:
                if recorded and str(part.name) not in named:
                    misfits += _table_changes(part, live, recorded)
                misfits += _table_misfits(connection, part, live)
            continue
        now = live_function(connection, part.name, part.arguments)
        if now is None:
            create.append(part)
        elif _differs(part, now, recorded):
            whose = "which is not as its file" if recorded else "which is not ours"
            words = (
                f"{part.name}({part.arguments}), {whose}:\n"
                f"{now.difference(part.body)}\n"
                f"To have ours: `bin/feature-store apply --replace {part.name}`"
            )
            if str(part.name) in named:
                replace.append(part)
            elif recorded is None and part.name.relation in _FOR_READERS:
                kept.append(words)
            else:
                misfits.append(words)
                outgrown.append(str(part.name))
    return Standing(tuple(create), tuple(replace), tuple(misfits), tuple(kept), tuple(outgrown))


def _governance(path: Path, kind: str, schema: str) -> Governance:
    parts: dict[str, Part] = {}
    dictionary = []
    for statement in split_statements(path):
        # The file is written for psql, which puts the quoted schema in place of :"schema".
        text = statement.text.replace(':"schema"', f'"{schema}"')
        on, made = _ON.match(text), _MADE.match(text)
        if on and on["name"] in parts:
            parts[on["name"]].comments.append(text)
            dictionary.append(statement.normal)
        elif made:
            parts[made["name"]] = _part(text, statement, schema, made)
        else:
            raise BadInput(
                f"{path} creates tables and functions and comments on them, not {text[:60]!r}."
            )
    if not parts:
        raise BadInput(f"{path} has no statement.")
    return Governance(
        schema, f"the {kind} of {schema}", tuple(parts.values()), ";\n".join(dictionary)
    )


def _part(text: str, statement: Statement, schema: str, made: re.Match[str]) -> Part:
    arguments = None
    if made["kind"] == "FUNCTION":
        arguments = ", ".join(_ARGUMENT.findall(text.partition("RETURNS")[0]))
    return Part(Name(schema, made["name"]), text, statement.normal, arguments)


def _table_changes(part: Part, live: Mapping[str, str], recorded: tuple[str, str]) -> list[str]:
    """Say if a table of ours is not what it was, or not what its file says now."""
    file_then, live_then = recorded
    table = part.name.relation
    lines = [line for line in live_then.splitlines() if line.startswith(f"{table}.")]
    now = [f"{table}.{column} {type_name}" for column, type_name in live.items()]
    way_out = (
        "It holds your rows: make it what its file says with ALTER TABLE, then\n"
        f"`bin/feature-store apply --replace {part.name}`, which keeps the rows."
    )
    if part.normal not in file_then:
        return [f"The file now creates {part.name} otherwise. {way_out}"]
    if now != lines:
        return [f"{difference(chr(10).join(lines), chr(10).join(now))}\n{way_out}"]
    return []


def _table_misfits(connection: Connection[Any], part: Part, live: Mapping[str, str]) -> list[str]:
    families: Callable[[str], set[str]] = lambda type_name: {  # noqa: E731
        family for family, types in FAMILIES.items() if family != "numeric" and type_name in types
    }
    problems = []
    for column, wanted in part.columns.items():
        spelled = {"int": "integer", "timestamptz": "timestamp with time zone"}.get(wanted, wanted)
        if column not in live:
            problems.append(f"{part.name} has no column {column} ({wanted}).")
        elif live[column] != spelled and not families(live[column]) & families(spelled):
            problems.append(f"{part.name}.{column} has the type {live[column]}, not {spelled}.")
    for column in _UNIQUE.get(part.name.relation, ()):
        if not problems and not _is_unique(connection, part.name, column):
            problems.append(f"{part.name}.{column} has no unique index of its own.")
    return problems


def _is_unique(connection: Connection[Any], table: Name, column: str) -> bool:
    row = connection.execute(
        """
        SELECT 1
        FROM pg_catalog.pg_index AS i
        INNER JOIN pg_catalog.pg_attribute AS a
            ON i.indrelid = a.attrelid AND i.indkey[0] = a.attnum
        WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indnkeyatts = 1
            AND i.indpred IS NULL AND i.indisvalid AND a.attname = %s
        """,
        (table.quoted, column),
    ).fetchone()
    return row is not None


def _differs(part: Part, now: LiveFunction, recorded: tuple[str, str] | None) -> bool:
    if recorded is None:
        return not now.is_as(part.body)
    file_then, live_then = recorded
    return part.normal not in file_then or now.definition not in live_then
