"""Which rows a relation holds, as the header of its file declares it.

``Rows: those of RELATION`` (or ``those of RELATION, without spam``) and, if no unique index says
which columns are the key, ``Key: COLUMN, COLUMN``. ``Other key:`` names a key that an adopted
relation may have instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.spam import Spam
from feature_store.errors import BadInput
from feature_store.relation_name import Name

_ROWS = re.compile(r"those of (?P<of>\S+?)(?P<without>, without spam)?")


@dataclass(frozen=True)
class RowSet:
    """The rows that a relation has, and no other.

    Attributes:
        of: the relation that has the same rows, by that relation's key.
        without: what marks the rows that it leaves out; None if it leaves out none.
    """

    of: Name
    without: Spam | None


def read_rows(path: Path, header: Mapping[str, str], spam: Spam | None) -> RowSet | None:
    """What ``Rows:`` says; None if there is no such line.

    Raises:
        BadInput: it says something else, or leaves out spam and no file says what spam is.
    """
    if "Rows" not in header:
        return None
    match = _ROWS.fullmatch(header["Rows"])
    if not match:
        raise BadInput(
            f"{path}: Rows: is {header['Rows']!r}; expected 'those of RELATION', or 'those of "
            "RELATION, without spam'."
        )
    if match["without"] and spam is None:
        raise BadInput(f"{path} leaves out spam, but there is no spam.toml to say what spam is.")
    try:
        return RowSet(Name.parse(match["of"]), spam if match["without"] else None)
    except BadInput as error:
        raise BadInput(f"{path}: Rows: {error.problem}") from None


def read_key(header: Mapping[str, str], field: str) -> tuple[str, ...]:
    """The columns that ``Key:`` or ``Other key:`` names; none if there is no such line."""
    return tuple(column.strip() for column in header.get(field, "").split(",") if column.strip())
