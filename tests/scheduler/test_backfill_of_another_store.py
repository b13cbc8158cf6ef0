"""On a real scheduler: the second store, its late data, and a backfill of one of its days."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from email import message_from_bytes, policy

import psycopg
import pytest

from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.airflow_api import wait_until
from sandbox.mailbox import Mailbox
from sandbox.server import Server, airflow_connection
from tests.dags.breakages_of_bikes import BIKES

from .conftest import RealAirflow
from .middle import Session

# A real scheduler and two runs: only make test-all has the time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DAY, OTHER = date(2026, 6, 10), date(2026, 6, 15)
STATION = 1
_DAYS_BEFORE = timedelta(days=14)


@pytest.fixture(scope="module")
def real_database(server: Server) -> Iterator[str]:
    name = f"scheduler_bikes_{os.getpid()}"
    conninfo = server.create_database(name)
    BIKES.load(conninfo)
    settings = Settings(include_dir=BIKES.include_dir)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        bootstrap(connection, read_store(settings.include_dir), settings)
    yield conninfo
    server.drop_database(name)


@pytest.fixture(scope="module")
def store_settings(real_database: str) -> dict[str, str]:
    return {
        "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(real_database),
        "FEATURE_STORE_INCLUDE_DIR": str(BIKES.include_dir),
    }


def times_empty_before(session: Session) -> dict[date, int]:
    """How often the station had run out of bikes before each morning's count, by day."""
    return dict(
        session.execute(
            "SELECT e.counted_at::date, e.empty_14d FROM bikes.morning_features_clean_mv AS e "
            "WHERE e.station_id = %s",
            (STATION,),
        ).fetchall()
    )


def days(session: Session, condition: str) -> list[date]:
    """The days of the findings that meet a condition."""
    found = session.execute(
        "SELECT DISTINCT day FROM feature_store_audit.history_finding "
        f"WHERE {condition} ORDER BY day".encode()
    )
    return [day for (day,) in found]


def test_a_backfill_has_what_was_late_and_nothing_later_and_accepts_its_day_alone(
    real_airflow: RealAirflow, session: Session, mailbox: Mailbox
) -> None:
    wait_until(lambda: len(real_airflow.runs()) == 1, 120, real_airflow.logs)
    (nightly,) = real_airflow.runs()
    assert real_airflow.wait_for_run(nightly) == "success"
    before = times_empty_before(session)

    # The city reports late that the station ran out of bikes on two days.
    late = session.execute(
        "UPDATE city.counts SET emptied_at = counted_at + interval '9 hours' "
        "WHERE emptied_at IS NULL AND station_id = %s AND counted_at::date = ANY(%s)",
        (STATION, [DAY, OTHER]),
    )
    assert late.rowcount == 2
    real_airflow.command(
        "backfill", "create", "--dag-id", real_airflow.dag_id,
        "--from-date", f"{DAY}T00:00:00", "--to-date", f"{DAY}T23:59:59",
    )  # fmt: skip
    wait_until(lambda: len(real_airflow.runs()) == 2, 200, real_airflow.logs)
    (backfill,) = set(real_airflow.runs()) - {nightly}
    assert real_airflow.wait_for_run(backfill) == "success"

    assert times_empty_before(session) == {
        day: times + sum(late < day <= late + _DAYS_BEFORE for late in (DAY, OTHER))
        for day, times in before.items()
    }
    runs = session.execute(
        "SELECT as_of_day, verdict FROM feature_store_audit.run WHERE run_type = 'backfill'"
    ).fetchall()
    assert runs == [(DAY, "passed")]
    assert days(session, "kind = 'leak'") == []
    assert days(session, "outcome = 'accepted'") == [DAY]
    assert days(session, "outcome IS NULL") == [OTHER]
    for feature_set in ("empty_risk_v1", "morning_load_v1"):
        session.execute("SELECT bikes.require_certified(%s, '1 hour')", (feature_set,))
    (mail,) = [message_from_bytes(m.read_bytes(), policy=policy.default) for m in mailbox.alarms()]
    assert mail["Subject"].startswith("bike stations")
    text = mail.get_body(("plain",))
    assert text is not None
    assert f"accept-history --day {OTHER}" in text.get_content()
    assert f"accept-history --day {DAY}" not in text.get_content()
