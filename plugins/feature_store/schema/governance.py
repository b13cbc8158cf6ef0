"""The governance files, ``sql/governance``: tables and functions of each governed schema.

They come as a whole, but part by part into a database that has some of them: a table that was there
before us and has our columns is kept with its rows, a function is replaced only by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlglot
from psycopg import Connection, sql
from sqlglot import exp

from feature_store.database.catalog import describe_governance
from feature_store.declarations.source_tables import live_columns
from feature_store.declarations.sql_file import Statement, split_text
from feature_store.declarations.store_profile import StoreProfile
from feature_store.declarations.text_file import PACKAGE_SQL, read_text
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.schema.governed_tables import table_changes, table_misfits
from feature_store.schema.live_function import LiveFunction, live_function
from feature_store.schema.registry import LiveView, live_view, registry_apart

FOLDER = PACKAGE_SQL / "governance"
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

_REGISTRY, _CONTRACTS = "contract registry", "feature contracts"
_FORMERLY = {_REGISTRY: _CONTRACTS}
_FILES = (
    # The file, how what it makes is called, and whether it is made in the first schema, the others.
    ("registry.sql", _REGISTRY, True, False),
    ("registry_shown.sql", _REGISTRY, False, True),
    ("feature_contract.sql", _CONTRACTS, True, True),
    ("certification.sql", "certification guard", True, True),
    ("freshness.sql", "freshness guard", True, True),
)
# Readers call these and nothing of ours does, so a reader's own may stay.
_FOR_READERS = ("assert_feature_contract", "require_certified", "store_freshness")
_MADE = re.compile(r'CREATE (?P<kind>TABLE|VIEW|FUNCTION) "\w+"\.(?P<name>\w+)')
_ON = re.compile(r'COMMENT ON \w+ "\w+"\.(?P<name>\w+)', re.IGNORECASE)
_BODY = re.compile(r"\$function\$(.*)\$function\$", re.DOTALL)
_ARGUMENT = re.compile(r"p_\w+ (\w+)")


@dataclass(frozen=True)
class Part:
    """A table, a view or a function of a governance file, in one schema.

    Attributes:
        name: its name.
        is_view: whether it is a view.
        create: the statement that creates it.
        normal: the same, normalised.
        arguments: of a function, as the server spells their types; None for tables and views.
        comments: the statements that comment on it.
    """

    name: Name
    is_view: bool
    create: str
    normal: str
    arguments: str | None
    comments: list[str] = field(default_factory=list)

    @property
    def is_table(self) -> bool:
        """Whether it is a table."""
        return self.arguments is None and not self.is_view

    @property
    def statements(self) -> tuple[str, ...]:
        """What creates it, a function for nobody yet: `grants` says who may call it."""
        return (self.create, *self.closed)

    @property
    def closed(self) -> tuple[str, ...]:
        """What takes a function from everybody, whom PostgreSQL lets call any new one."""
        if self.arguments is None:
            return ()
        return (f"REVOKE ALL ON FUNCTION {self.name.quoted}({self.arguments}) FROM PUBLIC",)

    @property
    def body(self) -> str:
        """A function's text between its dollar quotes; of a view nothing."""
        match = _BODY.search(self.create)
        return match[1] if match else ""

    @property
    def columns(self) -> dict[str, str]:
        """A table's columns and the types that the file gives them; a view's file gives none."""
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
        registry: the schema whose tables hold all feature sets.
        label: how it is called in messages and in the audit schema.
        formerly: how what it has was called before it had a file of its own.
        parts: its tables and functions, in an order in which they can be created.
        dictionary: its comments, normalised.
    """

    schema: str
    registry: str
    label: str
    formerly: str
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
        described = describe_governance(connection, self.schema, tables, functions)
        views = (live_view(connection, p.name) for p in self.parts if p.is_view)
        queries = [view.definition for view in views if view]
        return "\n".join([described, *queries]) if described else None

    @property
    def shows(self) -> bool:
        """Whether it shows the registry of another schema."""
        return any(part.is_view for part in self.parts)


@dataclass(frozen=True)
class Standing:
    """How the parts of a governance file stand to what a database has of them.

    Attributes:
        create: parts that are missing.
        replace: functions, and tables where views should be, to replace: they differ, and were
            named.
        misfits: what stands in the way, in words with the way out.
        kept: what differs and may, in words.
        outgrown: those among the misfits that could be named and replaced.
    """

    create: tuple[Part, ...]
    replace: tuple[Part, ...]
    misfits: tuple[str, ...]
    kept: tuple[str, ...]
    outgrown: tuple[str, ...]


def read_governance(profile: StoreProfile) -> tuple[Governance, ...]:
    """Read the governance files, for each governed schema of a store.

    Raises:
        BadInput: a file cannot be read.
    """
    first, *others = profile.governed_schemas
    return tuple(
        _governance(file, kind, schema, profile)
        for file, kind, in_first, in_others in _FILES
        for schema in [first] * in_first + others * in_others
    )


def standing(
    connection: Connection[Any],
    governance: Governance,
    named: Collection[str],
    recorded: tuple[str, str] | None,
    *,
    may_stay: bool,
) -> Standing:
    """Compare part by part.

    Args:
        connection: a pinned session.
        governance: what the file says.
        named: functions that may be replaced, and tables that were altered as the file says.
        recorded: the file's and the server's description when it was applied; None before that.
        may_stay: whether what is there was there before us.
    """
    apart = (
        registry_apart(connection, governance.parts, governance.registry)
        if governance.shows
        else {}
    )
    # A registry that was there before us stays as a whole, or its sets move as a whole.
    may_stay = may_stay and not any(str(name) in named for name in apart)
    found = []
    for part in governance.parts:
        if words := apart.get(part.name):
            differs: _How = "kept" if may_stay else "outgrown"
            found += [(part, differs, words)]
        elif part.is_table:
            found += [(part, *of) for of in _of_table(connection, part, named, recorded)]
        else:
            found += [(part, *of) for of in _of_code(connection, part, recorded)]

    replace = [p for p, how, _ in found if how in ("outgrown", "kept") and str(p.name) in named]
    rest = [(how, words, str(part.name)) for part, how, words in found if part not in replace]
    return Standing(
        create=tuple(part for part, how, _ in found if how == "missing"),
        replace=tuple(replace),
        misfits=tuple(words for how, words, _ in rest if how in ("misfit", "outgrown")),
        kept=tuple(words for how, words, _ in rest if how == "kept"),
        outgrown=tuple(name for how, _, name in rest if how == "outgrown"),
    )


_How = Literal["missing", "misfit", "outgrown", "kept"]


def _of_table(
    connection: Connection[Any],
    part: Part,
    named: Collection[str],
    recorded: tuple[str, str] | None,
) -> list[tuple[_How, str]]:
    live = live_columns(connection, part.name)
    if not live:
        return [("missing", "")]
    changes = []
    if recorded and str(part.name) not in named:
        changes = table_changes(part, live, recorded)
    return [("misfit", words) for words in changes + table_misfits(connection, part, live)]


def _of_code(
    connection: Connection[Any], part: Part, recorded: tuple[str, str] | None
) -> list[tuple[_How, str]]:
    """Of a function, or a view: what the server would execute."""
    now = (
        live_view(connection, part.name)
        if part.is_view
        else live_function(connection, part.name, part.arguments)
    )
    if now is None:
        return [("missing", "")]
    if not _differs(part, now, recorded):
        return []
    whose = "which is not as its file" if recorded else "which is not ours"
    words = (
        f"{part.name}{f'({part.arguments})' if part.arguments else ''}, {whose}:\n"
        f"{now.difference(part.body)}\n"
        f"To have ours: `bin/feature-store apply --replace {part.name}`"
    )
    readers_own = recorded is None and part.name.relation in _FOR_READERS
    return [("kept" if readers_own else "outgrown", words)]


def _governance(file: str, kind: str, schema: str, profile: StoreProfile) -> Governance:
    path = FOLDER / file
    parts: dict[str, Part] = {}
    dictionary = []
    for statement in split_text(path, _of_store(read_text(path), profile)):
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
    label, formerly = (f"the {k} of {schema}" for k in (kind, _FORMERLY.get(kind, kind)))
    return Governance(
        schema, profile.registry, label, formerly, tuple(parts.values()), ";\n".join(dictionary)
    )


def _of_store(text: str, profile: StoreProfile) -> str:
    """A file's text for one store: all but the schema, which is told apart by each part itself."""
    fact = sql.Literal(profile.newest.fact).as_string()
    text = text.replace(':"registry"', profile.registry).replace(":'newest_fact'", fact)
    return text.replace(":dag_id", profile.dag_id)


def _part(text: str, statement: Statement, schema: str, made: re.Match[str]) -> Part:
    arguments = None
    if made["kind"] == "FUNCTION":
        arguments = ", ".join(_ARGUMENT.findall(text.partition("RETURNS")[0]))
    is_view = made["kind"] == "VIEW"
    return Part(Name(schema, made["name"]), is_view, text, statement.normal, arguments)


def _differs(part: Part, now: LiveFunction | LiveView, recorded: tuple[str, str] | None) -> bool:
    if recorded is None:
        return not now.is_as(part.body)
    file_then, live_then = recorded
    return part.normal not in file_then or now.definition not in live_then
