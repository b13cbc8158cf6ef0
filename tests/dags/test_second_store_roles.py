"""A second store, by the real DAG, each step as the role whose step it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from feature_store.client import read_training_set
from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.schema.privileges.grants import read_grants
from feature_store.settings import Settings
from sandbox.roles import as_role
from sandbox.server import Server, run_psql
from tests.conftest import ROOT

FOLDER = ROOT / "examples" / "bike_stations"
ROLES = [f"bikes_{role}" for role in ("owner", "page", "reader", "refresher", "reviewer")]
DAG_FILE = f"""# A DAG of Airflow
from feature_store.operators.nightly_dag import feature_store_dag

dag = feature_store_dag({str(FOLDER)!r})
"""


@pytest.mark.slow
def test_its_refresher_runs_the_whole_dag_and_its_reader_has_it_vouched_for(
    server: Server,
    airflow_database: None,
    airflow_conn: Callable[..., None],
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    file = tmp_path / "roles.sql"
    file.write_text(read_grants(FOLDER))
    (tmp_path / "bikes.py").write_text(DAG_FILE)
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(tmp_path))
    conninfo = server.create_database("bikes_dag")
    try:
        for script in (FOLDER / "sources.sql", FOLDER / "seed.sql", file):
            run_psql(conninfo, script)
        with psycopg.connect(as_role(conninfo, "bikes_owner"), autocommit=True) as connection:
            pin(connection, settings, "tests")
            bootstrap(connection, read_store(FOLDER), replace(settings, include_dir=FOLDER))
        assert run_psql(conninfo, file) == "The roles have what they need.\n"

        airflow_conn(as_role(conninfo, "bikes_refresher"))
        bag = DagBag(str(tmp_path))
        assert not bag.import_errors
        dag = bag.dags["bike_stations_refresh"]
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        run = dag.test(run_conf={"as_of_day": "2026-06-30"})
        states = {i.task_id: str(i.state) for i in run.get_task_instances()}
        assert set(states.values()) == {"success"}, states
        with psycopg.connect(as_role(conninfo, "bikes_reader")) as connection:
            vouched = connection.execute(
                "SELECT run_id FROM bikes.require_certified('empty_risk_v1', '1 hour')"
            ).fetchone()
        assert vouched == (run.run_id,)
        reader = as_role(conninfo, "bikes_reader")
        assert not read_training_set(reader, "empty_risk_v1", most_lag=None).empty
    finally:
        server.drop_database("bikes_dag")
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            for role in ROLES:
                connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
