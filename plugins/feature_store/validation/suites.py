"""Runs a suite of expectations with Great Expectations, pushed down to SQL.

Every expectation is a query of unexpected rows; Great Expectations expects none. A query that could
not run is an error with its cause: never "no unexpected rows", never "broken".
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from feature_store.connection import Connection
from feature_store.declarations.expectations import Expectation
from feature_store.errors import CannotConnect, passes_on_its_own
from feature_store.text_format import MOST_ROWS, json_rows
from feature_store.validation.far_dates import reading_far_dates
from feature_store.validation.query_times import timing_queries

log = logging.getLogger(__name__)
# On import it says of some 180 functions that it does not register them: not in each task's log.
logging.getLogger("great_expectations").setLevel(logging.WARNING)

# Great Expectations needs a URL, but its connections come from our own sessions. So every option of
# the Airflow connection reaches them, and no password is in a URL.
_UNUSED_URL = "postgresql+psycopg://session@localhost/session"
# A suite has one batch, but its expectations are about many relations. So the batch is a single row
# that the queries do not use.
_BATCH = "SELECT 1 AS one"
_COLON = re.compile(r"(?<![:\w]):(?=\w)")


@dataclass(frozen=True)
class SuiteFinding:
    """The result of an expectation.

    Attributes:
        expectation: what was checked.
        outcome: ``met``, ``broken`` or ``error``.
        observed: in words: how many rows breach it, or why it could not be checked.
        passes: whether the error that prevented the check may pass by itself.
        sample: up to 20 of those rows.
        seconds: how long its queries took.
        breaching: how many rows breach it; None if they could not be counted.
    """

    expectation: Expectation
    outcome: str
    observed: str
    sample: list[dict[str, Any]]
    seconds: float
    passes: bool = False
    breaching: int | None = None


def run_suite(
    expectations: Sequence[Expectation], connect: Callable[[], Connection]
) -> list[SuiteFinding]:
    """Check every expectation, even if some fail.

    Args:
        expectations: of one suite.
        connect: opens a session; called as often as connections are needed.

    Raises:
        CannotConnect: the first session could not be opened; or whatever else ``connect`` raised.
    """
    # Slow to import, so only when a suite runs.
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.datasource.fluent.interfaces import TestConnectionError

    if not expectations:
        return []
    refused: list[str] = []

    def connecting() -> Connection:
        try:
            return connect()
        except CannotConnect as error:
            refused.append(error.problem.splitlines()[0])
            raise

    creator = reading_far_dates(connecting)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    try:
        source = context.data_sources.add_postgres(  # type: ignore[call-arg]  # its stub lacks kwargs
            "store", connection_string=_UNUSED_URL, kwargs={"creator": creator, "pool_size": 1}
        )
    except TestConnectionError as error:
        raise error.cause or error from error
    suite = gx.ExpectationSuite(expectations[0].suite, [_as_gx(e) for e in expectations])
    asset = source.add_query_asset("batch", query=_BATCH)
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    with timing_queries(batch.data.execution_engine.engine) as seconds_of:
        results: list[Any] = batch.validate(suite, result_format="COMPLETE").results
    # It returns them in its own order. Its own form of JSON lacks durations and ranges.
    by_name = {result.expectation_config.meta["name"]: result for result in results}
    return [_found(e, by_name[e.name], seconds_of(e.query), refused) for e in expectations]


def _as_gx(expectation: Expectation) -> Any:
    # Slow to import, so only when a suite runs.
    from great_expectations.expectations.metadata_types import FailureSeverity

    from feature_store.validation.counted_rows import NoUnexpectedRows, counted

    # Great Expectations replaces names in braces, and SQLAlchemy names after a colon.
    query = expectation.query.replace("{", "{{").replace("}", "}}")
    query = _COLON.sub(r"\\:", query)
    return NoUnexpectedRows(
        unexpected_rows_query=counted(query),
        description=expectation.expected,
        severity=FailureSeverity(expectation.severity),
        meta={"name": expectation.name},
    )


def _found(
    expectation: Expectation, result: Any, seconds: float, refused: Sequence[str]
) -> SuiteFinding:
    outcome, observed, sample, breaching = _read(result)
    # A login that the server refused is told in our words, and may not be refused again.
    passes = outcome == "error" and (observed in refused or _passes(observed))
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
    return SuiteFinding(expectation, outcome, observed, sample, seconds, passes, breaching)


def _read(result: Any) -> tuple[str, str, list[dict[str, Any]], int | None]:
    found = result.result.get("observed_value")
    if found is None:
        return "error", _cause(result.exception_info), [], None
    if result.success:
        return "met", "no row that breaches it", [], 0
    sample = json_rows(result.result["details"]["unexpected_rows"][:MOST_ROWS])
    breach = "row that breaches it" if found == 1 else "rows that breach it"
    return "broken", f"{found:,} {breach}", sample, int(found)


def _passes(observed: str) -> bool:
    """Whether a cause in SQLAlchemy's form, ``(psycopg.errors.Name) …``, may pass by itself."""
    named = re.search(r"\(psycopg\.(?:errors\.)?(\w+)\)", observed)
    if not named:
        return False
    kind = getattr(psycopg.errors, named[1], None) or getattr(psycopg, named[1], None)
    return kind is not None and passes_on_its_own(kind())


def _cause(info: dict[str, Any]) -> str:
    """The message inside Great Expectations' nested account of an exception."""
    if "exception_message" in info:
        return (str(info["exception_message"]).strip() or "no cause was given").splitlines()[0]
    causes = [_cause(inner) for inner in info.values() if isinstance(inner, dict)]
    return causes[0] if causes else "no cause was given"
