"""Proof files, ``include/sql/proofs``: each row of a relation recomputed by another route."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.sql_header import read_header
from feature_store.declarations.text_file import files_in, read_text
from feature_store.errors import BadInput

_DECIDES = ("critical", "information")


@dataclass(frozen=True)
class Proof:
    """A file of ``include/sql/proofs``.

    Attributes:
        name: the file's.
        relation: the relation whose rows it recomputes.
        title: what it proves, in words.
        decides: whether a row that differs breaks the suite; else it is only counted.
        query: gives one row: rows compared, rows that differ, and up to 20 of them as JSON.
    """

    name: str
    relation: str
    title: str
    decides: bool
    query: str


def read_proofs(include_dir: Path) -> tuple[Proof, ...]:
    """Read all proofs.

    Raises:
        BadInput: a file without the header, or that does not say whether it decides.
    """
    proofs: list[Proof] = []
    for path in files_in(include_dir / "sql" / "proofs", ".sql"):
        text = read_text(path)
        header = read_header(path, text, ("Proof", "Relation", "Rule", "Route"))
        severity = header.get("Severity", _DECIDES[0])
        if severity not in _DECIDES:
            raise BadInput(
                f"{path}: the severity is {severity!r}; expected one of {', '.join(_DECIDES)}."
            )
        proofs.append(
            Proof(
                name=path.stem,
                relation=header["Relation"].split()[0],
                title=header["Proof"],
                decides=severity == _DECIDES[0],
                query=text,
            )
        )
    return tuple(proofs)
