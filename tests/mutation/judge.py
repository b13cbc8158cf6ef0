"""Judging a mutant by the product's own comparison, on stores that are rich in odd cases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import psycopg

from feature_store.errors import StoreError
from feature_store.proof.proving import compare_stored
from tests.conftest import LiveStore
from tests.mutation.mutants import Mutant
from tests.sql.specified import differing_as

Fate = Literal["caught", "refused", "survived"]
"""Whether a comparison found other rows, the query could not run at all, or nothing was noticed."""

PATIENCE = "60s"
"""When a query that a mistake has made endless is given up."""


def judge(store: LiveStore, mutant: Mutant) -> tuple[Fate, str]:
    """Judge a mutant on a true store, which is left as it was.

    Returns:
        Its fate, and the columns that differ or what the server said.
    """
    try:
        with store.connection.transaction(force_rollback=True):
            store.connection.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'".encode())
            columns = _differing(store, mutant)
    except (psycopg.Error, StoreError) as error:
        return "refused", str(error).splitlines()[0]
    return ("caught", ", ".join(sorted(columns))) if columns else ("survived", "")


def _differing(store: LiveStore, mutant: Mutant) -> set[str]:
    if mutant.part == "relation":
        return differing_as(store, mutant.relation, mutant.query)
    relation = store.files.find(mutant.relation)
    assert relation.specification is not None  # there are no mutants without
    wrong = replace(relation.specification, query=mutant.query)
    done = compare_stored(store.connection, replace(relation, specification=wrong))
    observed = [json.loads(told)["observed"] for told in done.sample]
    return {column for one in observed for column in one} or ({"*"} if done.broken else set())
