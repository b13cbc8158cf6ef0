"""Specifications: a second query for a relation's rows, by another route than its own file.

A file of ``include/sql/specifications`` is named after its relation. Below its header is one query,
which gives exactly the relation's columns and rows; `comparison` does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from feature_store.declarations.files.sql_file import query_reads
from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.sql_statement import parse, read_query
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.spam import Spam
from feature_store.errors import BadInput
from feature_store.relation_name import Name

FOLDER = "specifications"
_ANY_ROW = "none"
_BY_OWNER = re.compile(r"as its owner defines it(?:, but for (?P<columns>\w+(?:, *\w+)*))?")
_WIDEST = 1e-6
_WITHIN = re.compile(r"(?P<columns>\w+(?:, *\w+)*) within (?P<bound>\d+(?:\.\d+)?e-\d+)")


@dataclass(frozen=True)
class Specification:
    """What a relation's rows are.

    Attributes:
        path: the file.
        relation: whose rows.
        title: the same in one sentence.
        key: the columns that tell rows apart, which may be NULL; none if rows may be equal.
        tolerance: by column, how far a value may be off, as a share of the expected value; every
            other column must be equal to the last bit.
        query: gives the rows.
        digest: of the query and how it is compared; equal if PostgreSQL reads two as the same.
        reads: every relation and source that the query names.
        by_owner: whether an adopted relation is compared with its owner's own definition instead.
        not_by_owner: the columns that even then must have the values of the relation whose rows it
            has, such as t0.
    """

    path: Path
    relation: Name
    title: str
    key: tuple[str, ...]
    tolerance: Mapping[str, float]
    query: str
    digest: str
    reads: frozenset[Name]
    by_owner: bool
    not_by_owner: tuple[str, ...]


def read_specifications(sql_dir: Path, spam: Spam | None = None) -> dict[Name, Specification]:
    """Read all specifications, by relation.

    Args:
        sql_dir: where their folder is.
        spam: for whose words ``:spam_tokens`` and ``:no_spam_tokens`` stand in them.

    Raises:
        BadInput: a file without the header, with a header that cannot be used, that is not called
            by its relation, or that is not one query over other relations.
    """
    found = (read_specification(path, spam) for path in files_in(sql_dir / FOLDER, ".sql"))
    return {specification.relation: specification for specification in found}


def read_specification(path: Path, spam: Spam | None) -> Specification:
    """Read one specification; see `read_specifications`."""
    text = read_text(path)
    return _read(path, spam.filled_in(text) if spam else text)


# Cached, as the relations' own files: a process reads them more than once.
@lru_cache(maxsize=256)
def _read(path: Path, text: str) -> Specification:
    header = read_header(path, text, ("Specification", "Relation", "Key", "Route"))
    named = header["Relation"].split()[0]
    if named != path.stem:
        raise BadInput(f"{path} specifies {named}; expected {path.stem}, as the file is called.")
    try:
        relation = Name.parse(named)
    except BadInput as error:
        raise BadInput(f"{path}: Relation: {error.problem}") from None
    statement = read_query(path, text)
    key = () if header["Key"] == _ANY_ROW else tuple(c.strip() for c in header["Key"].split(","))
    told = header.get("Tolerance", "")
    owner = _BY_OWNER.fullmatch(header.get("Adopted", "as its owner defines it"))
    if not owner:
        raise BadInput(
            f"{path}: Adopted: expected 'as its owner defines it', 'as its owner defines it, but "
            "for COLUMN, COLUMN', or no such line."
        )
    how = f"{statement.normal}\nby {', '.join(key)}\n{told}"
    return Specification(
        path=path,
        relation=relation,
        title=header["Specification"],
        key=key,
        tolerance=_tolerance(path, told),
        query=statement.text,
        digest=sha256(how.encode()).hexdigest(),
        reads=frozenset(query_reads(path, parse(path, statement.text), relation)),
        by_owner="Adopted" in header,
        not_by_owner=tuple(re.split(r", *", owner["columns"])) if owner["columns"] else (),
    )


def _tolerance(path: Path, text: str) -> dict[str, float]:
    if not text:
        return {}
    match = _WITHIN.fullmatch(text)
    if not match or float(match["bound"]) > _WIDEST:
        raise BadInput(
            f"{path}: the tolerance is {text!r}; expected columns and a share of at most "
            f"{_WIDEST:.0e}, such as 'one_column, another_column within 1e-12'.",
            next_step="It is for the last bits of a sum. If values differ by more, one of the two "
            "queries is wrong.",
        )
    return dict.fromkeys(re.split(r", *", match["columns"]), float(match["bound"]))
