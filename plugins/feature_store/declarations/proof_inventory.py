"""The inventory of proofs: everything that decides what a run may certify, with digests.

These are the files of a store's folder that build no relation. A person stamps the inventory
(`schema.stamps.proof_stamp`), so the next run finds a proof that is missing, weaker or edited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.sql_statement import split_statements
from feature_store.declarations.files.text_file import PACKAGE_SQL, files_in, read_text
from feature_store.declarations.files.toml_file import read_toml
from feature_store.declarations.specifications import FOLDER as SPECIFICATIONS
from feature_store.declarations.store_definition import Store
from feature_store.declarations.suites import read_suites

CONTRACTS = "contracts/"
GONE, NEW = "is gone", "is new"
# Files that apply uses; plan compares their results with the database.
_APPLIED = frozenset(Refresh)
# The fields that tell an entry of a list from the others.
_LABELS = ("id", "signature", "relation")


@dataclass(frozen=True, order=True)
class Proof:
    """One item of the inventory.

    Attributes:
        file: its file, below the store's folder.
        part: which part of the file; empty for the whole file.
        digest: equal if two mean the same: line breaks, and comments below a header, do not count.
        says: what people compare, such as a severity or a number; empty if there is only a digest.
    """

    file: str
    part: str
    digest: str
    says: str

    @property
    def name(self) -> str:
        """The name by which people find it."""
        return f"{self.file}, {self.part}" if self.part else self.file


def read_inventory(include_dir: Path, store: Store) -> tuple[Proof, ...]:
    """The inventory as the files are now, in order.

    Args:
        include_dir: the store's folder.
        store: what `store_definition.read_store` read of it.

    Raises:
        BadInput: a file that cannot be used.
    """
    return tuple(
        sorted(
            [
                *_of_sql(include_dir / "sql"),
                *_of_relations(include_dir, store),
                *(p for path in files_in(include_dir, ".toml") for p in _of_toml(path)),
                *_of_contracts(include_dir),
            ]
        )
    )


def changes(stamped: Iterable[Proof], now: Iterable[Proof]) -> dict[str, str]:
    """What differs between two inventories, in words, by the proof's name."""
    before = {proof.name: proof for proof in stamped}
    after = {proof.name: proof for proof in now}
    return {
        name: _difference(before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if not _are_alike(before.get(name), after.get(name))
    }


def _are_alike(before: Proof | None, after: Proof | None) -> bool:
    # The digest of a specification covers its tolerance. Earlier versions did not write it down.
    if before and after and before.file.startswith(f"sql/{SPECIFICATIONS}/"):
        return before.digest == after.digest
    return before == after


def _difference(before: Proof | None, after: Proof | None) -> str:
    if after is None:
        return GONE
    if before is None:
        return NEW
    if before.file.startswith(f"sql/{SPECIFICATIONS}/"):
        told = [f"{word} {one.says}" for word, one in (("was", before), ("is", after)) if one.says]
        return f"has changed; its tolerance {', '.join(told)}" if told else "has changed"
    if before.says != after.says:
        return f"was {before.says or 'not there'}, is {after.says or 'gone'}"
    return "has changed"


def _of_sql(sql_dir: Path) -> Iterator[Proof]:
    """Each query, with the header that says how it is used."""
    for path in sql_dir.rglob("*.sql"):
        folder = path.parent.relative_to(sql_dir).as_posix()
        if folder not in _APPLIED:
            header = read_header(path, read_text(path), ())
            statements = [statement.normal for statement in split_statements(path)]
            digest = _digest([header, statements])
            says = header.get("Tolerance" if folder == SPECIFICATIONS else "Severity", "")
            yield Proof(f"sql/{folder}/{path.name}", "", digest, says)


def _of_relations(include_dir: Path, store: Store) -> Iterator[Proof]:
    """Expectations that come from the relations' own files, such as that keys are unique."""
    files = {str(r.name): f"sql/{r.refresh}/{r.file.path.name}" for r in store.relations}
    packaged = files_in(PACKAGE_SQL / "expectations", ".sql")  # the package's code, not the store's
    for suite in read_suites(include_dir):
        folder = include_dir / "sql" / "expectations" / suite
        written = {path.stem for path in (*files_in(folder, ".sql"), *packaged)}
        for expectation in read_expectations(include_dir, store, suite):
            # A proof is named after its relation; here its specification represents it.
            if expectation.name not in written | {expectation.relation}:
                file = files.get(expectation.relation, expectation.relation)
                part = f"{suite}: {expectation.name}"
                digest = _digest([expectation.relation, expectation.query])
                yield Proof(file, part, digest, expectation.severity)


def _of_toml(path: Path) -> Iterator[Proof]:
    file = path.name
    for key, value in read_toml(path).items():
        if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
            for entry in value:
                yield Proof(file, f"{key} {_label(entry)}", _digest(entry), "")
        else:
            says = str(value) if isinstance(value, int | float) else ""
            yield Proof(file, key, _digest(value), says)


def _label(entry: dict[str, Any]) -> str:
    label = next((str(entry[field]) for field in _LABELS if field in entry), "")
    which = entry.get("columns", entry.get("value", []))
    columns = ", ".join(which) if isinstance(which, list) else str(which)
    return f"{label} ({columns})" if columns else label


def _of_contracts(include_dir: Path) -> Iterator[Proof]:
    for one in read_feature_sets(include_dir):
        binding = [str(one.relation), one.schema, one.other_columns, one.integer_columns]
        yield Proof(f"{CONTRACTS}{one.path.name}", "", _digest([one.hash, *binding]), "")


def _digest(content: object) -> str:
    # Dates and the like become text; keys are sorted, because their order means nothing.
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
