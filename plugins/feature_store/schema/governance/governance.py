"""The governance files, ``sql/governance``: tables and functions of each governed schema.

They come as a whole, but part by part into a database that has some of them
(`governance_difference`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlglot
from psycopg import sql
from sqlglot import TokenType, exp

from feature_store.connection import Connection
from feature_store.database.catalog import describe_governance
from feature_store.declarations.files.sql_statement import split_text, tokens_of
from feature_store.declarations.files.text_file import PACKAGE_SQL, read_text
from feature_store.declarations.store_profile import StoreProfile
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.schema.governance.registry import live_view

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
    # The file, the label of what it creates, and whether that is in the first schema, in the
    # others.
    ("registry.sql", _REGISTRY, True, False),
    ("registry_shown.sql", _REGISTRY, False, True),
    ("feature_contract.sql", _CONTRACTS, True, True),
    ("certification.sql", "certification guard", True, True),
    ("freshness.sql", "freshness guard", True, True),
)


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
        """What creates it. Nobody may call a new function until `grants` allows it."""
        return (self.create, *self.closed)

    @property
    def closed(self) -> tuple[str, ...]:
        """Revokes a new function from everybody: by default PostgreSQL lets all call it."""
        if self.arguments is None:
            return ()
        return (f"REVOKE ALL ON FUNCTION {self.name.quoted}({self.arguments}) FROM PUBLIC",)

    @property
    def body(self) -> str:
        """A function's text between its dollar quotes; empty for a view."""
        texts = (t.text for t in tokens_of(self.create) if t.token_type is TokenType.HEREDOC_STRING)
        return next(texts, "")

    @property
    def columns(self) -> dict[str, str]:
        """A table's columns with their types in the file; empty for a view."""
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
        label: its name in messages and in the audit schema.
        formerly: its label before it had a file of its own.
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

    def describe(self, connection: Connection) -> str | None:
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


def _governance(file: str, called: str, schema: str, profile: StoreProfile) -> Governance:
    path = FOLDER / file
    parts: dict[str, Part] = {}
    dictionary = []
    for statement in split_text(path, _of_store(read_text(path), profile)):
        # The file is written for psql, which puts the quoted schema in place of :"schema".
        text = statement.text.replace(':"schema"', f'"{schema}"')
        match [token.text for token in tokens_of(text)]:
            case ["COMMENT", "ON", _, _, ".", name, *_] if name in parts:
                parts[name].comments.append(text)
                dictionary.append(statement.normal)
            case ["CREATE", "TABLE" | "VIEW" | "FUNCTION" as kind, _, ".", name, *rest]:
                # Of a function what follows is ( name type , name type ) …
                types = rest[2 : rest.index(")") : 3] if kind == "FUNCTION" else None
                arguments = None if types is None else ", ".join(types)
                made = Name(schema, name)
                parts[name] = Part(made, kind == "VIEW", text, statement.normal, arguments)
            case _:
                raise BadInput(
                    f"{path} may only create tables and functions and comment on them; got "
                    f"{text[:60]!r}."
                )
    if not parts:
        raise BadInput(f"{path} has no statement.")
    label, formerly = (f"the {k} of {schema}" for k in (called, _FORMERLY.get(called, called)))
    return Governance(
        schema, profile.registry, label, formerly, tuple(parts.values()), ";\n".join(dictionary)
    )


def _of_store(text: str, profile: StoreProfile) -> str:
    """A file's text for one store; only the schema is still a placeholder."""
    fact = sql.Literal(profile.newest.fact).as_string()
    text = text.replace(':"registry"', profile.registry).replace(":'newest_fact'", fact)
    return text.replace(":dag_id", profile.dag_id)
