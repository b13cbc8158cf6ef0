"""A second store, of another field, by the real DAG: its folder is all that it brings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.cli.commands import main
from sandbox.programs import binaries
from sandbox.server import Server

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "bike_stations_refresh"
# But for the part that begins with another store: test_store_by_hand.py types that.
_OTHER = re.compile(r"\n## From a store that is there\n.*?(?=\n## |\Z)", re.DOTALL)
PAGE = _OTHER.sub("", (ROOT / "docs/your-own-store.md").read_text())


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    name = f"bikes_{os.getpid()}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
def walk(
    database: str,
    airflow_conn: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[], list[str]]:
    """Type what the page says, from the first line to the last; the commands that were typed."""

    def go() -> list[str]:
        monkeypatch.chdir(ROOT)
        airflow_conn(database)
        monkeypatch.setenv("AIRFLOW_CONN_BIKES", os.environ["AIRFLOW_CONN_FEATURE_STORE"])
        monkeypatch.delenv("AIRFLOW_CONN_FEATURE_STORE")
        lines = re.findall(r"^    (\S.*)$", PAGE, flags=re.MULTILINE)
        for line in lines:
            program, *arguments = shlex.split(line)
            if program == "export":
                monkeypatch.setenv(*arguments[0].split("=", 1))
            elif program == "psql":
                at = [database if word == "bikes" else word for word in arguments]
                psql = [str(binaries() / "psql"), "-q", "-v", "ON_ERROR_STOP=1", *at]
                subprocess.run(psql, check=True)
            else:
                assert program == "bin/feature-store"
                assert main(arguments) == 0, capsys.readouterr().err
        # The DAG has its folder and its connection from its file, not from the settings.
        monkeypatch.delenv("FEATURE_STORE_INCLUDE_DIR")
        monkeypatch.delenv("FEATURE_STORE_CONN_ID")
        return lines

    return go


@pytest.fixture
def load(
    airflow_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """Load its DAG from a DAG file that was copied as the page says."""

    def load() -> Any:
        from airflow.dag_processing.dagbag import DagBag

        (line,) = re.findall(r"^dag = .*$", PAGE, flags=re.MULTILINE)
        copied = (ROOT / "dags/feature_store_refresh.py").read_text()
        copied = copied.replace("dag = feature_store_dag(doc_md=__doc__)", line)
        assert line in copied
        package = f"PACKAGE = {str(ROOT / 'plugins')!r}"  # nothing lies beside the copy
        copied = re.sub(r"^PACKAGE = .*$", package, copied, flags=re.MULTILINE)
        (tmp_path / "bike_stations_refresh.py").write_text(copied)
        monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(tmp_path))
        bag = DagBag(str(tmp_path))
        assert not bag.import_errors
        dag = bag.dags[DAG_ID]
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        return dag

    return load


def test_a_folder_is_all_that_another_store_brings(walk, load, database):
    assert len(walk()) == 8
    run = load().test(run_conf={"as_of_day": "2026-06-30"})

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
