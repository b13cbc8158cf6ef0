"""The inventory of proofs in the database: a person stamps it, every run checks it.

Only the owner stamps, as with contracts. The role that runs the DAG can only read the stamp.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

from psycopg.types.json import Jsonb

from feature_store.connection import Connection, one_value
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.proof_inventory import (
    CONTRACTS,
    GONE,
    NEW,
    Proof,
    changes,
    read_inventory,
)
from feature_store.declarations.store_definition import Store
from feature_store.errors import BadInput, NotReady, ProofsChanged
from feature_store.relation_name import AUDIT_SCHEMA
from feature_store.schema.stamps.contract_stamp import check, stamp

_STAMP = "bin/feature-store stamp-proofs"
UNSTAMPED = f"Changed since the proofs were stamped, so no run is certified ({_STAMP})"
"""The words before a list of such proofs."""
_ZONE = "FEATURE_STORE_ZONE"
_NEVER = f"the proofs have never been stamped: {_STAMP}"


def unstamped(connection: Connection, store: Store, include_dir: Path) -> tuple[str, ...]:
    """The proofs that are not as a person stamped them, each with how it differs. Reads only.

    Also empty before the first stamp.
    """
    return unstamped_of(connection, read_inventory(include_dir, store))


def unstamped_of(connection: Connection, proofs: Iterable[Proof]) -> tuple[str, ...]:
    """As `unstamped`, for proofs that have been read already."""
    if not _has_table(connection):
        return ()
    stamped = _stamped(connection)
    return () if stamped is None else _lines(changes(stamped, _with_zone(connection, proofs)))


def assert_proofs(connection: Connection, store: Store, include_dir: Path) -> None:
    """Fail unless every proof is as a person stamped it.

    Raises:
        ProofsChanged: some are not; the message names their files.
    """
    stamped = _stamped(connection) if _has_table(connection) else None
    _refuse((_NEVER,) if stamped is None else unstamped(connection, store, include_dir))


def refuse_changed(connection: Connection, store: Store, include_dir: Path) -> None:
    """Fail as `assert_proofs`, but not if the proofs were never stamped; used before any work.

    Raises:
        ProofsChanged: some are not as a person stamped them.
    """
    _refuse(unstamped(connection, store, include_dir))


def _refuse(found: Collection[str]) -> None:
    if found:
        raise ProofsChanged(
            "The proofs are not those that a person stamped:",
            items=list(found),
            readers="the rows that the views have now; nobody has stamped the proofs that check "
            "them.",
            next_step="Restore the files; or, if the change is intended, stamp it as the owner: "
            f"`{_STAMP}`. Then trigger a new run.",
        )


def stamp_proofs(
    connection: Connection,
    store: Store,
    include_dir: Path,
    *,
    replace: bool = True,
) -> tuple[str, ...]:
    """Stamp the proofs as the files are now, for a person.

    Args:
        connection: a session of the owner's.
        store: what the files say.
        include_dir: where they are.
        replace: allow proofs that differ from the stamped ones; new ones are always allowed.

    Returns:
        How they differ from those that were stamped before, in words; empty if there were none.

    Raises:
        BadInput: proofs differ, and replace is false.
        NotReady: the audit schema has no table for them yet.
    """
    if not _has_table(connection):
        raise NotReady(
            "The audit schema has no inventory of proofs.",
            next_step="Run `bin/feature-store apply`.",
        )
    before = _stamped(connection)
    now = _with_zone(connection, read_inventory(include_dir, store))
    differing = {} if before is None else changes(before, now)
    others = {name: how for name, how in differing.items() if not _adds(name, how)}
    if others and not replace:
        raise BadInput(
            "The proofs have changed since they were stamped:",
            items=list(_lines(others)),
            readers="what was stamped before.",
            next_step=f"Restore the files, or stamp the proofs first: `{_STAMP}`.",
        )
    if before is None or differing:
        connection.execute(
            "INSERT INTO feature_store_audit.proof_inventory_log (proofs) VALUES (%s)",
            (Jsonb([asdict(proof) for proof in now]),),
        )
    return _lines(differing)


def stamp_sets(
    connection: Connection,
    store: Store,
    include_dir: Path,
    sets: Collection[FeatureSet],
    *,
    replace: bool,
) -> tuple[str, ...]:
    """Stamp feature sets and the proofs together, all or nothing; see `stamp`, `stamp_proofs`."""
    with connection.transaction():
        for feature_set in sets:
            stamp(connection, feature_set, replace=replace)
        return stamp_proofs(connection, store, include_dir, replace=replace)


def stamp_first(connection: Connection, store: Store, include_dir: Path) -> None:
    """Stamp the proofs of a store whose contracts were stamped before there was an inventory."""
    if _has_table(connection) and _stamped(connection) is None:
        sets = read_feature_sets(include_dir)
        if any(check(connection, feature_set).stamped_hash for feature_set in sets):
            stamp_proofs(connection, store, include_dir)


def _has_table(connection: Connection) -> bool:
    # From the catalog, which everybody may read.
    row = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n "
        "ON c.relnamespace = n.oid WHERE n.nspname = %s AND c.relname = 'proof_inventory'",
        (AUDIT_SCHEMA,),
    ).fetchone()
    return row is not None


def _stamped(connection: Connection) -> tuple[Proof, ...] | None:
    row = connection.execute("SELECT proofs FROM feature_store_audit.proof_inventory").fetchone()
    return None if row is None else tuple(Proof(**proof) for proof in row[0])


def _with_zone(connection: Connection, proofs: Iterable[Proof]) -> tuple[Proof, ...]:
    """With the session's time zone: it decides which sales are of an earlier day than t0."""
    zone: str = one_value(connection, "SELECT current_setting('TimeZone')")
    return (*proofs, Proof(_ZONE, "", zone, zone))


def _adds(name: str, how: str) -> bool:
    """Whether a difference weakens nothing: a new query, or a contract with its own stamp."""
    if how == NEW:
        return name.startswith(("sql/", CONTRACTS)) or name == _ZONE
    return how != GONE and name.startswith(CONTRACTS)


def _lines(differing: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name} {how}" for name, how in differing.items())
