"""Proofs: every row recomputed by another route, once per run, before its suite looks at it."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from psycopg import Connection, sql

from feature_store.audit.lease import Lease, hold_lease
from feature_store.declarations.proofs import Proof
from feature_store.proof.proving import NOTHING_TO_COMPARE
from feature_store.relation_name import Name

log = logging.getLogger(__name__)

_SAMPLE = 20


def run_proof(connection: Connection[Any], proof: Proof, lease: Lease, event: int) -> int:
    """Run one proof and keep what it found.

    The relation's rows are counted apart: of those that the proof did not compare each counts as
    one that differs. Where neither it nor the relation has a row, they agree.

    Args:
        connection: a session in autocommit mode.
        proof: to run.
        lease: held until its result is recorded.
        event: the number of the try of the suite that it belongs to.

    Returns:
        How many rows it compared.

    Raises:
        LeaseTaken: the lease has changed hands.
        psycopg.Error: the proof could not be run.
    """
    with connection.transaction():
        hold_lease(connection, lease)
        # A proof joins helpers of its own, of which the planner has no statistics: it thinks them
        # costly to hash and sorts millions of rows instead.
        connection.execute("SET LOCAL enable_mergejoin = off")
        started = time.monotonic()
        row = connection.execute(proof.query.encode()).fetchone()
        assert row is not None  # a proof is one aggregate row
        compared, broken, sample = row
        there = _count_rows(connection, proof.relation)
        if compared < there:
            broken += there - compared
            counts = {"observed": {"compared": compared}, "expected": {"compared": there}}
            sample = [{"key": {}, **counts}, *sample]
        seconds = time.monotonic() - started
        connection.execute(
            "INSERT INTO feature_store_audit.proof_log "
            "(suite_event, proof, compared, broken, sample, seconds) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (event, proof.name, compared, broken, json.dumps(sample[:_SAMPLE]), seconds),
        )
    told = (
        f"{compared} rows compared, {broken} differ" if compared or broken else NOTHING_TO_COMPARE
    )
    log.info("%s: %s, %.2f s.", proof.name, told, seconds)
    return int(compared)


def _count_rows(connection: Connection[Any], relation: str) -> int:
    query = sql.SQL("SELECT count(*) FROM {}").format(Name.parse(relation).identifier)
    row = connection.execute(query).fetchone()
    assert row is not None  # an aggregate
    return int(row[0])
