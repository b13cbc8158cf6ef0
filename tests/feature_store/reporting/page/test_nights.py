"""The store over time, as the page shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feature_store.reporting.page.nights import read_nights
from tests.feature_store.refresh.certified import CertifiedNights

_TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("ages", "until"), [([], 90), ([1, 0], 0), ([1, 40], 1), ([0, 40, 39], 0), ([400], 90)]
)
def test_it_ends_with_the_newest_day_whichever_run_came_last(
    scratch, store_files, settings, files, ages, until
):
    """A backfill's runs come after those of newer days."""
    nights = CertifiedNights(scratch, store_files, settings)
    for number, age in enumerate(ages):
        nights.begin(f"run {number}", str(_TODAY - timedelta(days=age)))
        scratch.run("UPDATE feature_store_audit.lease SET dag_id = NULL, run_id = NULL")
    shown = read_nights(scratch.connection, settings, files, 90)
    assert shown.until == _TODAY - timedelta(days=until)


def test_of_declared_exceptions_the_latest_are_shown_and_the_rest_is_counted(
    scratch, settings, files
):
    """Where values are scored anew each night finds one for each of hundreds of days."""
    scratch.run(
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
        "run_id, latest_dag_id, latest_run_id) SELECT k.kind, 'E', 'ml.e', d::date, 'd', 'r', "
        "'d', 'r' FROM generate_series('2025-01-01'::date, '2025-10-27', '1 day') AS d "
        "CROSS JOIN (VALUES ('exception'), ('review')) AS k (kind)"
    )
    shown = read_nights(scratch.connection, settings, files, 90)
    days = {k: [f.day for f in shown.findings if f.kind == k] for k in ("exception", "review")}
    assert (len(days["exception"]), len(days["review"])) == (200, 300)
    assert max(days["exception"]) == max(days["review"])
    assert shown.more_exceptions == 100
