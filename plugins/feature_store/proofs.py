"""Proofs: every row recomputed by another route, once per run, before its suite looks at it."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from feature_store.errors import BadInput
from feature_store.header import read_header
from feature_store.lease import Lease, hold_lease
from feature_store.names import Name
from feature_store.proving import NOTHING_TO_COMPARE
from feature_store.textfile import files_in, read_text

log = logging.getLogger(__name__)

_DECIDES = ("critical", "information")
_SAMPLE = 20


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
