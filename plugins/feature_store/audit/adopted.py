"""What was adopted as it was: relations that the record has not as their files define them."""

from __future__ import annotations

from feature_store.connection import Connection

ADOPTED = "adopted as it was:\n"
"""How the record of an object that apply did not create begins."""


def adopted_relations(connection: Connection) -> frozenset[str]:
    """What was adopted as it was, by name."""
    rows = connection.execute(
        "SELECT object FROM feature_store_audit.definition WHERE starts_with(file_definition, %s)",
        (ADOPTED,),
    ).fetchall()
    return frozenset(label for (label,) in rows)
