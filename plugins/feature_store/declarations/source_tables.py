"""The source tables: which of their columns are read, and of which types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter

from feature_store.declarations.files.toml_fields import held_to
from feature_store.declarations.files.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.relation_name import Name

_INT = frozenset({"smallint", "integer", "bigint"})
FAMILIES = {
    "int": _INT,
    "numeric": _INT | {"numeric", "real", "double precision"},
    "text": frozenset({"text", "character varying"}),
    "boolean": frozenset({"boolean"}),
    "timestamp": frozenset({"timestamp with time zone", "timestamp without time zone"}),
    "date": frozenset({"date"}),
    "json": frozenset({"json", "jsonb"}),
    "uuid": frozenset({"uuid"}),
    "other": frozenset(),
}
"""Type families; a column of the family ``other`` may have any type."""


_TABLES = TypeAdapter(dict[str, dict[str, str]], config=ConfigDict(strict=True))


@dataclass(frozen=True)
class Source:
    """A table that belongs to the user.

    Attributes:
        name: the table, or a plain or materialized view.
        columns: the columns that the store's SQL reads, each with its type family.
    """

    name: Name
    columns: dict[str, str]


def family_of(type_name: str) -> str:
    """The narrowest family of a type, as the server names it without modifiers."""
    return next((family for family, types in FAMILIES.items() if type_name in types), "other")


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read ``sources.toml``.

    Raises:
        BadInput: the file is missing or malformed, or names an unknown type family.
    """
    tables = held_to(path, _TABLES, read_toml(path))
    try:
        sources = tuple(Source(Name.parse(table), columns) for table, columns in tables.items())
    except BadInput as error:
        raise BadInput(f"{path}: {error.problem}") from None
    for source in sources:
        for column, family in source.columns.items():
            if family not in FAMILIES:
                raise BadInput(
                    f"{path}: {source.name}.{column} has the unknown type family {family!r}; "
                    f"expected one of {', '.join(FAMILIES)}."
                )
    return sources
