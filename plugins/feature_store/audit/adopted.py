"""Adopted relations: those that were there before the store, fit, and are kept as they are."""

from __future__ import annotations

from feature_store.connection import Connection

ADOPTED = "adopted as it was:\n"
"""The first words of the record of an object that apply did not create."""


def adopted_relations(connection: Connection) -> frozenset[str]:
    """The adopted relations, by name."""
    rows = connection.execute(
        "SELECT object FROM feature_store_audit.definition WHERE starts_with(file_definition, %s)",
        (ADOPTED,),
    ).fetchall()
    return frozenset(label for (label,) in rows)
