"""Holding a run in the middle of its work."""

from __future__ import annotations

from typing import Any

from feature_store.connection import Connection
from sandbox.airflow_api import wait_until

from .conftest import RealAirflow

Session = Connection
E = "read.tom_features_v1_enriched_mv"


def working_on_e(session: Session) -> list[int]:
    """The server's processes that are refreshing E for us."""
    rows = session.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = %s AND state = 'active'",
        (f"feature_store {E}",),
    )
    return [pid for (pid,) in rows]


def hold_in_the_middle_of_e(
    airflow: RealAirflow, session: Session, blocker: Session, run: str, **conf: Any
) -> None:
    """Start a run and hold it where E's refresh has begun and waits for one of its sources.

    It goes on when the blocker's transaction ends.
    """
    airflow.trigger(run, **conf)

    def d2_is_fresh() -> bool:
        return airflow.tasks(run)["base.ask_daily_median_v1"] == "success"

    wait_until(d2_is_fresh, 400, airflow.logs)
    # E reads D2, so it waits for this lock until the transaction ends.
    blocker.execute("REFRESH MATERIALIZED VIEW ml.ask_daily_median_v1")
    wait_until(lambda: bool(working_on_e(session)), 400, airflow.logs)
