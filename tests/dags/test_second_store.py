"""A second store, of another field, run by the real DAG: its folder is all that it brings."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from feature_store.cli.commands import main
from feature_store.client import NotCertified, read_features, read_training_set
from feature_store.declarations.store_definition import read_store
from feature_store.reporting.status import read_status
from feature_store.schema.object_states import State
from sandbox.breakages.harm import edit
from sandbox.programs import binaries
from sandbox.server import Server, airflow_connection

from .breakages_of_bikes import BIKES

ROOT = Path(__file__).resolve().parents[2]
STORE = BIKES.include_dir
DAG_ID = "bike_stations_refresh"
# The part on a store that is there is left out: test_store_by_hand.py types it.
_OTHER = re.compile(r"\n## From a store that is there\n.*?(?=\n## |\Z)", re.DOTALL)
PAGE = _OTHER.sub("", (ROOT / "docs/your-own-store.md").read_text())
SETS = ("empty_risk_v1", "morning_load_v1")
E = "bikes.morning_features_mv"
E_CLEAN = "bikes.morning_features_clean_mv"

_numbers = itertools.count(1)

# One more feature: its column in E and E-clean, in E's specification, and in the contract.
_NEW_FEATURE = (
    edit(
        f"sql/read/{E}.sql",
        "    m.docks,\n    coalesce(",
        "    m.docks,\n    m.docks - m.bikes AS free_docks,\n    coalesce(",
    ),
    edit(
        f"sql/specifications/{E}.sql",
        "    m.docks,\n    (\n        SELECT coalesce",
        "    m.docks,\n    -(m.bikes - m.docks) AS free_docks,\n    (\n        SELECT coalesce",
    ),
    edit(f"sql/read/{E_CLEAN}.sql", "    e.docks,\n", "    e.docks,\n    e.free_docks,\n"),
    edit(
        "contracts/empty_risk_v1.toml",
        "\n]\n",
        '\n  { ordinal = 6, name = "free_docks", dtype = "int", description = "To spare" },\n]\n',
    ),
)
_NEXT_MORNING = """
INSERT INTO city.counts (count_id, station_id, counted_at, bikes, docks)
SELECT 9000 + s.n, s.n, '2026-07-01 06:30:00+00', 3, 20 FROM generate_series(1, 8) AS s (n)
RETURNING count_id
"""
_RUNS = "SELECT run_id FROM feature_store_audit.run"
# The relations that a person made and others may stand on, with their queries and words.
_RELATIONS = b"""
SELECT oid, relname, pg_get_viewdef(oid), obj_description(oid, 'pg_class')
FROM pg_class WHERE relnamespace = 'bikes'::regnamespace AND relkind IN ('m', 'v')
    AND relname IN (
        'mornings_mv', 'empty_days_mv', 'outcomes_mv', 'morning_features_mv',
        'morning_features_clean_mv', 'morning_load_v1'
    )
ORDER BY relname
"""


@contextmanager
def connected(conninfo: str) -> Iterator[pytest.MonkeyPatch]:
    """The environment in which the connection ``bikes`` is the only one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("AIRFLOW_CONN_BIKES", airflow_connection(conninfo))
        patch.delenv("AIRFLOW_CONN_FEATURE_STORE", raising=False)
        yield patch


@dataclass(frozen=True)
class Bikes:
    """The city's database, and what its people do with the store in it."""

    conninfo: str
    dags: Path

    def walks(self) -> list[str]:
        """Type what the page says, from the first line to the last; returns the lines."""
        lines = re.findall(r"^    (\S.*)$", PAGE, flags=re.MULTILINE)
        server = conninfo_to_dict(self.conninfo)
        with connected(self.conninfo) as patch:
            for variable, part in (("PGHOST", "host"), ("PGPORT", "port"), ("PGUSER", "user")):
                patch.setenv(variable, str(server[part]))
            for line in lines:
                program, *arguments = shlex.split(line)
                if program == "export":
                    patch.setenv(*arguments[0].split("=", 1))
                elif program in ("createdb", "psql"):
                    stops = ["-q", "-v", "ON_ERROR_STOP=1"] if program == "psql" else []
                    subprocess.run([str(binaries() / program), *stops, *arguments], check=True)
                else:
                    assert program == "bin/feature-store"
                    assert main(arguments) == 0, line
        return lines

    def types(self, *arguments: str, folder: Path = STORE) -> int:
        """Type a command of ``bin/feature-store``; its exit code."""
        with connected(self.conninfo) as patch:
            patch.setenv("FEATURE_STORE_INCLUDE_DIR", str(folder))
            patch.setenv("FEATURE_STORE_CONN_ID", "bikes")
            return main(arguments)

    def night(self, as_of_day: str, folder: Path | None = None, *failed: str) -> str:
        """Run the DAG of a DAG file that was copied as the page says; the run's id.

        It succeeds, but for the tasks that are named.

        The DAG has its folder and its connection from its file, not from the settings.
        """
        from airflow.dag_processing.dagbag import DagBag

        (line,) = re.findall(r"^dag = .*$", PAGE, flags=re.MULTILINE)
        copied = (ROOT / "dags/feature_store_refresh.py").read_text()
        copied = copied.replace("dag = feature_store_dag(doc_md=__doc__)", line)
        assert line in copied
        package = f"PACKAGE = {str(ROOT / 'plugins')!r}"  # the copy has no package beside it
        copied = re.sub(r"^PACKAGE = .*$", package, copied, flags=re.MULTILINE)
        if folder:
            copied = copied.replace('"examples/bike_stations"', f'"{folder}"')
        (self.dags / "bike_stations_refresh.py").write_text(copied)
        with connected(self.conninfo) as patch:
            patch.setattr("airflow.settings.DAGS_FOLDER", str(self.dags))
            bag = DagBag(str(self.dags))
            assert not bag.import_errors
            dag = bag.dags[DAG_ID]
            for task in dag.tasks:
                task.retry_delay = timedelta(0)
            run = dag.test(run_conf={"as_of_day": as_of_day})
        states = {i.task_id: str(i.state) for i in run.get_task_instances()}
        assert {task for task, state in states.items() if state != "success"} == {*failed}, states
        assert {"base.mornings_mv", "read.morning_features_clean_mv", "expectations.flags"} <= set(
            states
        )
        run_id: str = run.run_id
        return run_id

    def asks(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def certified(self) -> set[str]:
        """The runs that certified what readers of the feature sets may read."""
        return {
            run
            for name in SETS
            for (run,) in self.asks(f"SELECT run_id FROM bikes.require_certified('{name}', '1h')")
        }


@pytest.fixture(scope="module")
def first_night(
    server: Server, airflow_database: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bikes]:
    """A store created as the page says, and certified by its first night."""
    made = Bikes(server.database("bikes"), tmp_path_factory.mktemp("dags"))
    assert len(made.walks()) == 10
    made.night("2026-06-30")
    yield made
    server.drop_database("bikes")


@pytest.fixture
def bikes(server: Server, first_night: Bikes) -> Iterator[Bikes]:
    """A copy of the store after its first night."""
    name = f"bikes_{os.getpid()}_{next(_numbers)}"
    template = str(conninfo_to_dict(first_night.conninfo)["dbname"])
    yield replace(first_night, conninfo=server.create_database(name, template))
    server.drop_database(name)


def test_a_folder_is_all_that_another_store_brings(first_night: Bikes):
    asks = first_night.asks
    assert asks("SELECT verdict, dag_id FROM feature_store_audit.run") == [("passed", DAG_ID)]
    assert first_night.certified() == {run for (run,) in asks(_RUNS)}
    assert asks("SELECT count(*) FROM feature_store_audit.spam_seen") == [(8,)]
    assert asks(f"SELECT count(*) FROM {E_CLEAN}") == [(312,)]
    assert asks("SELECT count(*), count(ran_empty) FROM feature_log.empty_risk_v1_training") == [
        (312, 312)
    ]
    assert asks("SELECT sources_until::text FROM bikes.store_freshness('1 day')") == [
        ("2026-06-30",)
    ]
    assert asks("SELECT suite FROM feature_store_audit.required_suite ORDER BY suite") == [
        ("flags",),
        ("keys",),
        ("proofs",),
    ]
    # Nothing of the first store is there.
    assert asks("SELECT to_regnamespace('ml')::text") == [(None,)]


def test_a_new_feature_is_served_from_the_next_night_on_and_null_in_the_log_before(
    bikes: Bikes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(STORE, tmp_path / "store")
    for change in _NEW_FEATURE:
        change(folder)
    assert bikes.types("check", str(folder)) == 0
    capsys.readouterr()
    assert bikes.types("plan", folder=folder) == 1
    assert f"`bin/feature-store apply --replace {E} {E_CLEAN}`" in capsys.readouterr().out
    stamped = ("--stamp-contract", "empty_risk_v1")
    assert bikes.types("apply", "--replace", E, E_CLEAN, *stamped, folder=folder) == 0
    assert bikes.types("stamp-proofs", folder=folder) == 0
    bikes.asks(_NEXT_MORNING)

    run = bikes.night("2026-07-01", folder)

    assert bikes.certified() == {run}
    # Rows that were served before the feature was there stay as they were.
    assert bikes.asks(
        "SELECT l.t0::date > '2026-06-30', count(*), count(l.free_docks) "
        "FROM feature_log.empty_risk_v1 AS l GROUP BY 1 ORDER BY 1"
    ) == [(False, 312, 0), (True, 8, 8)]


def test_a_set_bound_by_hand_to_rows_with_flagged_ones_is_refused(bikes: Bikes):
    """The contract fits both relations, and both are certified."""
    assert len(read_features(bikes.conninfo, SETS[0])) == 312
    bikes.asks(
        f"UPDATE bikes.feature_set_binding SET relation_name = '{E}' "
        f"WHERE relation_name = '{E_CLEAN}' RETURNING 1"
    )
    with pytest.raises(NotCertified, match=f"is bound to {E}, but was certified bound to"):
        read_features(bikes.conninfo, SETS[0])
    assert bikes.types("stamp-contract", SETS[0]) == 0
    assert len(read_features(bikes.conninfo, SETS[0])) == 312


def test_a_log_that_a_run_found_altered_is_read_again_after_the_next_good_run(bikes: Bikes):
    bikes.asks("UPDATE feature_log.empty_risk_v1 SET bikes = bikes + 1 RETURNING 1")

    bad = bikes.night("2026-06-30", None, "assert_contract")

    refused = f"the log of empty_risk_v1 was found not as it was sealed by run {re.escape(bad)}"
    with pytest.raises(NotCertified, match=refused):
        read_training_set(bikes.conninfo, SETS[0], most_lag=None)
    with pytest.raises(NotCertified, match=refused):
        read_features(bikes.conninfo, SETS[0])
    assert len(read_features(bikes.conninfo, SETS[1])) == 312
    assert bikes.types("seal-log", SETS[0], "--reason", "meant") == 0
    bikes.night("2026-06-30")
    assert len(read_training_set(bikes.conninfo, SETS[0], most_lag=None)) == 312


def test_a_store_built_by_hand_is_adopted_and_its_relations_stay(
    server: Server, airflow_database: None, tmp_path: Path
):
    name = f"bikes_{os.getpid()}_{next(_numbers)}"
    bikes = Bikes(server.create_database(name), tmp_path)
    BIKES.load(bikes.conninfo)
    files = read_store(STORE)
    with psycopg.connect(bikes.conninfo, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA bikes")
        for relation in files.relations:
            text = relation.file.path.read_text().replace("WITH NO DATA", "")
            connection.execute(text.encode())
        before = connection.execute(_RELATIONS).fetchall()

        assert bikes.types("apply") == 0
        assert bikes.types("stamp-contract", *SETS) == 0
        run = bikes.night("2026-06-30")

        assert bikes.certified() == {run}
        states = {line.state for line in read_status(connection, files, STORE)}
        assert states == {State.ADOPTED}
        assert connection.execute(_RELATIONS).fetchall() == before
    server.drop_database(name)
