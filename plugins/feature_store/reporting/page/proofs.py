"""The proofs that differ from their stamp; files are read again only after they changed."""

from __future__ import annotations

from pathlib import Path

from feature_store.connection import Connection
from feature_store.declarations.files.text_file import FileState, states_of
from feature_store.declarations.proof_inventory import Proof, read_inventory
from feature_store.declarations.store_definition import read_store
from feature_store.errors import BadInput
from feature_store.schema.stamps.proof_stamp import unstamped_of

_known: dict[Path, tuple[tuple[FileState, ...], tuple[Proof, ...]]] = {}


def unstamped_proofs(connection: Connection, include_dir: Path) -> list[str]:
    """Each such proof with how it differs; or why the files cannot be used."""
    try:
        return list(unstamped_of(connection, _proofs(include_dir)))
    except BadInput as error:
        return [error.problem]


def _proofs(include_dir: Path) -> tuple[Proof, ...]:
    state = states_of(include_dir.rglob("*.*"))
    known = _known.get(include_dir)
    if known is None or known[0] != state:
        proofs = read_inventory(include_dir, read_store(include_dir))
        known = _known[include_dir] = (state, proofs)
    return known[1]
