"""A second store, of another field, by the real DAG: its folder is all that it brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.cli.commands import main
from sandbox.server import Server

ROOT = Path(__file__).resolve().parents[2]
BIKES = ROOT / "examples" / "bike_stations"
DAG_ID = "bike_stations_refresh"
# A copy of dags/feature_store_refresh.py with its last line as that file says.
PAGE = (ROOT / "dags/feature_store_refresh.py").read_text()


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[str]:
    """The city's database, with a store that was made by the commands of the page."""
    name = f"bikes_{os.getpid()}"
    conninfo = server.create_database(name)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for file in ("sources.sql", "seed.sql"):
            connection.execute((BIKES / file).read_text().encode())
    yield conninfo
    server.drop_database(name)


@pytest.fixture
def bikes(
    database: str,
    airflow_database: None,
    airflow_conn: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Run its DAG, from a DAG file that was copied; the store of include/ is not there."""
    airflow_conn(database)
    for kind in ("AIRFLOW_CONN_FEATURE_STORE", "AIRFLOW_CONN_BIKES"):
        monkeypatch.setenv(kind, os.environ["AIRFLOW_CONN_FEATURE_STORE"])
    monkeypatch.delenv("AIRFLOW_CONN_FEATURE_STORE")
    line = f'dag = feature_store_dag("{BIKES}", conn_id="bikes", doc_md=__doc__)\n'
    copied = PAGE.replace("dag = feature_store_dag(doc_md=__doc__)\n", line)
    copied = copied.replace(
        'str(Path(__file__).resolve().parents[1] / "plugins")', repr(str(ROOT / "plugins"))
    )
    assert line in copied
    (tmp_path / "bike_stations_refresh.py").write_text(copied)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))

    def run(**conf: Any) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(tmp_path))
        assert not bag.import_errors
        dag = bag.dags[DAG_ID]
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        return dag.test(run_conf=conf)

    return run


def test_a_folder_is_all_that_another_store_brings(bikes, database, monkeypatch, capsys):
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(BIKES))
    monkeypatch.setenv("FEATURE_STORE_CONN_ID", "bikes")
    for command in (
        ["check"],
        ["apply"],
        ["stamp-contract", "empty_risk_v1", "morning_load_v1"],
    ):
        assert main(command) == 0, capsys.readouterr().err
    # The DAG has its folder and its connection from its file, not from the settings.
    monkeypatch.delenv("FEATURE_STORE_INCLUDE_DIR")
    monkeypatch.delenv("FEATURE_STORE_CONN_ID")

    run = bikes(as_of_day="2026-06-30")

    states = {i.task_id: str(i.state) for i in run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    assert {"base.mornings_mv", "read.morning_features_clean_mv", "expectations.flags"} <= set(
        states
    )
    with psycopg.connect(database, autocommit=True) as connection:

        def asks(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        assert asks("SELECT verdict, dag_id FROM feature_store_audit.run") == [("passed", DAG_ID)]
        for name in ("empty_risk_v1", "morning_load_v1"):
            assert asks(f"SELECT run_id FROM bikes.require_certified('{name}', '1 hour')") == [
                (run.run_id,)
            ]
        assert asks("SELECT count(*) FROM feature_store_audit.spam_seen") == [(8,)]
        assert asks("SELECT count(*) FROM bikes.morning_features_clean_mv") == [(312,)]
        assert asks(
            "SELECT count(*), count(ran_empty) FROM feature_log.empty_risk_v1_training"
        ) == [(312, 312)]
        assert asks("SELECT sources_until::text FROM bikes.store_freshness('1 day')") == [
            ("2026-06-30",)
        ]
        assert asks("SELECT suite FROM feature_store_audit.required_suite ORDER BY suite") == [
            ("flags",),
            ("keys",),
            ("proofs",),
        ]
        # Nothing of the other store is there.
        assert asks("SELECT to_regnamespace('ml')::text") == [(None,)]
