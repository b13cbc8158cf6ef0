"""Names of relations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from psycopg import sql

from feature_store.errors import BadInput

AUDIT_SCHEMA = "feature_store_audit"
"""The schema in which every run records what it did."""
LOG_SCHEMA = "feature_log"
"""The schema with each feature set's log (what was served), under the set's name."""

MOST_BYTES = 63
"""What PostgreSQL keeps of a name; it cuts off the rest without an error."""

_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def folded(word: str) -> str:
    """A name as PostgreSQL takes it when it stands without quotes: only A to Z become small."""
    return word.translate(_SMALL)


def is_column(text: str) -> bool:
    """Whether a column may be called that: any words on one line, as SQL takes them in quotes."""
    try:
        return bool(text.strip()) and text.isprintable() and len(text.encode()) <= MOST_BYTES
    except UnicodeEncodeError:
        return False


def beside_values(*parts: str) -> sql.Identifier:
    """A name as quoted SQL, for a query that binds values.

    In such a query psycopg takes every ``%`` for its own, also one in a name.
    """
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


@dataclass(frozen=True, order=True)
class Name:
    """A schema-qualified name, as the catalog spells it (``City.counts``)."""

    schema: str
    relation: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read ``schema.relation``.

        Raises:
            BadInput: it is anything else.
        """
        parts = text.split(".")
        if len(parts) != 2 or not all(_PLAIN.fullmatch(part) for part in parts):
            raise BadInput(f"{text!r} is not the name of a relation; expected schema.relation.")
        if long := [part for part in parts if len(part) > MOST_BYTES]:
            raise BadInput(
                f"{text!r} is not the name of a relation: {long[0]} has {len(long[0])} bytes; "
                f"expected at most {MOST_BYTES}, after which PostgreSQL cuts a name off."
            )
        return cls(*parts)

    @property
    def identifier(self) -> sql.Identifier:
        """The name as quoted SQL."""
        return sql.Identifier(self.schema, self.relation)

    @property
    def quoted(self) -> str:
        """The name as quoted SQL, to bind as a value and cast to ``regclass``."""
        return self.identifier.as_string(None)

    def __str__(self) -> str:
        return f"{self.schema}.{self.relation}"
