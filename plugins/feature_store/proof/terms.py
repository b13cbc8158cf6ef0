"""How the values of each column are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql
from psycopg.sql import Composed, Identifier

_FLOATS = ("real", "double precision")
_EQUAL_ARE_THE_SAME = frozenset(
    {
        *("boolean", "smallint", "integer", "bigint", "oid", "numeric", "uuid", "bytea"),
        *("date", "timestamp without time zone", "timestamp with time zone"),
    }
)
AS_TEXT = '{0}::text COLLATE "C"'
"""A column as text, compared byte by byte, whatever its collation."""


@dataclass(frozen=True)
class Terms:
    """How rows are compared.

    Attributes:
        columns: all of them, with their types as the server names them.
        key: the columns that tell rows apart; none if rows may be equal.
        tolerance: by column, how far a value may be off, as a share of the expected value.
    """

    columns: Mapping[str, str]
    key: Sequence[str]
    tolerance: Mapping[str, float] = field(default_factory=dict)

    def is_float(self, column: str) -> bool:
        """Whether SQL takes two of its values as equal that are not: 0 and -0."""
        return self.columns[column] in _FLOATS

    def is_by_text(self, column: str) -> bool:
        """Whether values are compared as text.

        For other types equal values may differ (an interval of a month and one of 30 days, texts
        under a collation that takes A and a as equal), or there is no equality at all (``json``).
        """
        kind = self.columns[column]
        return kind not in _FLOATS and kind.partition("(")[0] not in _EQUAL_ARE_THE_SAME

    def as_text(self, side: str, column: str) -> Composed:
        """A column of one side of a comparison as text, the same for equal values."""
        # 1.0 and 1.00 are one number.
        is_numeric = self.columns[column].partition("(")[0] == "numeric"
        return sql.SQL("trim_scale({})::text" if is_numeric else AS_TEXT).format(
            Identifier(side, column)
        )

    def exact(self, column: str) -> Composed:
        """A column as it is compared."""
        return sql.SQL(AS_TEXT if self.is_by_text(column) else "{0}").format(Identifier(column))
