"""Comparing a store's relations, as they are or with a mistake, with their specifications."""

from __future__ import annotations

import json

from feature_store.declarations.expectations import read_expectations
from feature_store.proof.proving import compare_stored
from feature_store.settings import Settings
from tests.conftest import LiveStore

ALONE = "*"
"""Stands for rows that one side alone has, or has too often."""


def differing(store: LiveStore, relation: str) -> set[str]:
    """The columns that a run's proof shows to differ from the specification."""
    done = compare_stored(store.connection, store.files.find(relation))
    observed = [json.loads(told)["observed"] for told in done.sample]
    names = {name for one in observed for name in ([ALONE] if one.keys() == {"rows"} else one)}
    assert bool(done.broken) == bool(names)
    return names


def differing_as(store: LiveStore, relation: str, query: str) -> set[str]:
    """The same, if the relation held the rows of another query."""
    schema, name = relation.split(".")
    kind = "MATERIALIZED VIEW" if store.files.find(relation).file.materialized else "VIEW"
    with store.connection.transaction(force_rollback=True):
        for statement in (
            f"CREATE TABLE {schema}.rebuilt AS {query}",
            f"ALTER {kind} {relation} RENAME TO original",
            f"ALTER TABLE {schema}.rebuilt RENAME TO {name}",
        ):
            store.connection.execute(statement.encode())
        return differing(store, relation)


def broken_by_rows(store: LiveStore) -> dict[str, int]:
    """The critical expectations on keys, row sets and spam that are broken, by how many rows."""
    found = {
        e.name: store.connection.execute(e.query.encode()).rowcount
        for suite in ("uniqueness", "spam_absence")
        for e in read_expectations(Settings().include_dir, store.files, suite)
        if e.severity == "critical"
    }
    return {name: rows for name, rows in found.items() if rows}
