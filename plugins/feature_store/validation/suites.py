"""Running a suite of expectations with Great Expectations, pushed down to SQL.

Every expectation is a query of unexpected rows, of which Great Expectations expects none. A query
that could not run is an error with its cause: never "no unexpected rows", never "broken".
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import Connection

from feature_store.audit.lease import Lease, hold_lease
from feature_store.declarations.expectations import Expectation
from feature_store.errors import (
    CheckInterrupted,
    ExpectationsBroken,
    NotChecked,
    passes_on_its_own,
)
from feature_store.proof.proving import NOTHING_TO_COMPARE
from feature_store.validation.far_dates import reading_far_dates

log = logging.getLogger(__name__)

_SAMPLE = 20
# Great Expectations asks for a URL; the connections come from our own session, so that every option
# of the Airflow connection reaches them and no password has to stand in a URL.
_UNUSED_URL = "postgresql+psycopg://session@localhost/session"


@dataclass(frozen=True)
class Finding:
    """What checking an expectation came to.

    Attributes:
        expectation: what was checked.
        outcome: ``met``, ``broken`` or ``error``.
        observed: in words: how many rows breach it, or why it could not be checked.
        passes: whether what kept it from being checked may pass on its own.
        sample: up to 20 of those rows.
        seconds: that it took.
        breaching: how many rows breach it; None where nobody could count them.
    """

    expectation: Expectation
    outcome: str
    observed: str
    sample: list[dict[str, Any]]
    seconds: float
    passes: bool = False
    breaching: int | None = None


def run_suite(
    expectations: Sequence[Expectation], connect: Callable[[], Connection[Any]]
) -> list[Finding]:
    """Check every expectation, all of them although one fails.

    Args:
        expectations: of one suite.
        connect: opens a session; called as often as connections are needed.

    Raises:
        CannotConnect: the first session could not be opened; or whatever else ``connect`` raised.
    """
    # Slow to import, so only where a suite runs.
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.datasource.fluent.interfaces import TestConnectionError

    creator = reading_far_dates(connect)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    try:
        source = context.data_sources.add_postgres(  # type: ignore[call-arg]  # its stub lacks kwargs
            "store", connection_string=_UNUSED_URL, kwargs={"creator": creator, "pool_size": 1}
        )
    except TestConnectionError as error:
        raise error.cause or error from error
    return [_check(source, expectation) for expectation in expectations]


def tell_empty(findings: Sequence[Finding], compared: Mapping[str, int]) -> list[Finding]:
    """Say of met proofs that there was nothing to compare, by how many rows each compared."""
    empty = {name for name, rows in compared.items() if not rows}

    nothing = {f.expectation.name for f in findings if f.outcome == "met"} & empty
    return [
        replace(f, observed=NOTHING_TO_COMPARE) if f.expectation.name in nothing else f
        for f in findings
    ]


def begin_suite(connection: Connection[Any], lease: Lease, suite: str) -> int:
    """Record that the run checks a suite now: what an earlier try of it found counts no longer.

    Args:
        connection: a session in autocommit mode.
        lease: of the run.
        suite: its name.

    Returns:
        The try's number, under which its findings are kept.

    Raises:
        LeaseTaken: the lease has changed hands.
    """
    with connection.transaction():
        hold_lease(connection, lease)
        row = connection.execute(
            "INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite) "
            "VALUES (%s, %s, %s) RETURNING event_id",
            (lease.holder.dag_id, lease.holder.run_id, suite),
        ).fetchone()
    assert row is not None  # INSERT … RETURNING of one row
    return int(row[0])


def record(connection: Connection[Any], event: int, findings: Sequence[Finding]) -> None:
    """Keep the findings of a try of a suite.

    Args:
        connection: a session.
        event: the try's number, as `begin_suite` gave it.
        findings: all of them, at once.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, "
            "relation, severity, outcome, expected, observed, sample, seconds, breaching) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    event,
                    finding.expectation.name,
                    finding.expectation.relation,
                    finding.expectation.severity,
                    finding.outcome,
                    finding.expectation.expected,
                    finding.observed,
                    json.dumps(finding.sample, default=str),
                    finding.seconds,
                    finding.breaching,
                )
                for finding in findings
            ],
        )


def verdict(suite: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """Sum a suite up, or raise if it does not hold.

    Raises:
        ExpectationsBroken: a critical one is broken.
        CheckInterrupted: the database went away; another try may help.
        NotChecked: an expectation could not be checked.
    """
    errors = [f for f in findings if f.outcome == "error"]
    broken = [f for f in findings if f.outcome == "broken"]
    critical = [f for f in broken if f.expectation.severity == "critical"]
    told = [_told(f) for f in (*critical, *errors)]
    if critical:
        raise ExpectationsBroken(
            f"{suite}: {len(critical)} of {len(findings)} expectations are broken.",
            items=told,
            readers="the rows that broke them; they were refreshed before they were checked.",
            next_step="Mend the source or the SQL, then clear the layer's task with what follows.",
        )
    if errors:
        unchecked = CheckInterrupted if all(f.passes for f in errors) else NotChecked
        raise unchecked(
            f"{suite}: {len(errors)} of {len(findings)} expectations could not be checked; that "
            "says nothing about the data.",
            items=told,
            next_step="Mend the cause, then clear this task with what follows.",
        )
    return {
        "met": sum(f.outcome == "met" for f in findings),
        "warnings": [f.expectation.name for f in broken],
    }


def in_short(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings for XCom, as plain values and without sample rows, which may be anything."""
    return [
        {
            "expectation": f.expectation.name,
            "relation": f.expectation.relation,
            "severity": f.expectation.severity,
            "outcome": f.outcome,
            "observed": f.observed[:300],
            "seconds": round(f.seconds, 3),
        }
        for f in findings
    ]


def _told(finding: Finding) -> str:
    line = (
        f"{finding.expectation.relation}: expected {finding.expectation.expected}; "
        f"observed {finding.observed}"
    )
    if finding.sample:
        line += f"\nfor example {json.dumps(finding.sample[0], default=str)[:300]}"
    return line


def _check(source: Any, expectation: Expectation) -> Finding:
    import great_expectations as gx
    from great_expectations.expectations.core.unexpected_rows_expectation import (
        UnexpectedRowsExpectation,
    )
    from great_expectations.expectations.metadata_types import FailureSeverity

    started = time.monotonic()
    suite = gx.ExpectationSuite(f"{expectation.suite}/{expectation.name}")
    suite.add_expectation(
        UnexpectedRowsExpectation(
            unexpected_rows_query="SELECT * FROM {batch}",
            description=expectation.expected,
            severity=FailureSeverity(expectation.severity),
        )
    )
    # A query asset must begin with SELECT; ours begin with their header.
    query = "\n".join(("SELECT * FROM (", expectation.query, ") AS unexpected"))
    asset = source.add_query_asset(suite.name, query=query)
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    result = batch.validate(suite, result_format="COMPLETE").results[0].to_json_dict()
    outcome, observed, sample, breaching = _read(result)
    passes = outcome == "error" and _passes(observed)
    seconds = time.monotonic() - started
    finding = Finding(expectation, outcome, observed, sample, seconds, passes, breaching)
    level = logging.INFO if outcome == "met" else logging.ERROR
    if outcome == "broken" and expectation.severity == "warning":
        level = logging.WARNING
    log.log(
        level,
        "%s, %s, %s: expected %s; observed %s.",
        outcome.upper(),
        expectation.relation,
        expectation.name,
        expectation.expected,
        observed,
    )
    return finding


def _read(result: dict[str, Any]) -> tuple[str, str, list[dict[str, Any]], int | None]:
    found = result["result"].get("observed_value")
    if found is None:
        return "error", _cause(result["exception_info"]), [], None
    if result["success"]:
        return "met", "no row that breaches it", [], 0
    sample = result["result"]["details"]["unexpected_rows"][:_SAMPLE]
    breach = "row that breaches it" if found == 1 else "rows that breach it"
    return "broken", f"{found:,} {breach}", sample, int(found)


def _passes(observed: str) -> bool:
    """Whether a cause as SQLAlchemy words it, ``(psycopg.errors.Name) …``, may pass on its own."""
    named = re.search(r"\(psycopg\.(?:errors\.)?(\w+)\)", observed)
    if not named:
        return False
    kind = getattr(psycopg.errors, named[1], None) or getattr(psycopg, named[1], None)
    return kind is not None and passes_on_its_own(kind())


def _cause(info: dict[str, Any]) -> str:
    """The message inside Great Expectations' nested account of an exception."""
    if "exception_message" in info:
        return str(info["exception_message"]).strip().splitlines()[0]
    causes = [_cause(inner) for inner in info.values() if isinstance(inner, dict)]
    return causes[0] if causes else "no cause was given"
