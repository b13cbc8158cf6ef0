"""Two stores in one Airflow: the page shows the one that was asked for, and offers the other."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.server import airflow_connection
from tests.feature_store.reporting.page.conftest import PREFIX

ROOT = Path(__file__).resolve().parents[4]
BIKES = "bike_stations_refresh"
OWN = "feature_store_refresh"
FOLDER = ROOT / "examples/bike_stations"
_FILE = """
import airflow
from feature_store.operators.nightly_dag import feature_store_dag
dag = feature_store_dag({arguments})
"""


@pytest.fixture(scope="module")
def bikes(server) -> str:
    """The second store's database: applied and stamped, never refreshed."""
    conninfo = server.create_database("page_bikes")
    settings = Settings(include_dir=FOLDER, conn_id="bikes")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute((FOLDER / "sources.sql").read_bytes())
        pin(connection, settings, "tests")
        bootstrap(connection, read_store(FOLDER), settings)
    return conninfo


@pytest.fixture(scope="module")
def both(airflow, bikes, tmp_path_factory) -> Iterator[None]:
    """Airflow has the DAG of each, and the connection of each."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    folder = tmp_path_factory.mktemp("dags")
    (folder / "own.py").write_text(_FILE.format(arguments=""))
    told = f"{str(FOLDER)!r}, conn_id='bikes', schedule='40 3 * * *'"
    (folder / "bikes.py").write_text(_FILE.format(arguments=told))
    bag = DagBag(str(folder))
    assert not bag.import_errors
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    airflow.use_store(bikes, conn_id="bikes")
    yield
    _forget_bikes()  # the first store's DAG stays: other tests may have given it runs


def _forget_bikes() -> None:
    """Make Airflow forget the second store's DAG and its runs, also those of other tests."""
    from airflow.api.common.delete_dag import delete_dag
    from airflow.exceptions import DagNotFound

    with suppress(DagNotFound):
        delete_dag(BIKES)


def test_with_one_store_there_is_nothing_to_choose(airflow):
    _forget_bikes()
    assert airflow.get("/api/stores").json() == {
        "stores": [{"dag_id": OWN, "title": "feature store", "path": "", "chosen": True}],
        "command": "bin/feature-store",
    }
    assert airflow.get(f"/stores/{BIKES}/api/now").status_code == 404


def test_each_store_has_the_same_addresses_below_its_own(airflow, both):
    own, second = (airflow.get(f"{at}/api/now").json() for at in ("", f"/stores/{BIKES}"))
    assert {r["name"].partition(".")[0] for r in second["relations"]} == {"bikes"}
    assert "bikes" not in {r["name"].partition(".")[0] for r in own["relations"]}
    assert airflow.get(f"/stores/{OWN}/api/now").json()["relations"] == own["relations"]
    for path in ("/", "/static/main.js", "/api/features", "/api/nights", "/api/runs"):
        assert airflow.get(f"/stores/{BIKES}{path}").status_code == 200, path
    assert airflow.get(f"/stores/{BIKES}").headers["location"] == f"{BIKES}/"
    # A run of one store is none of the other's.
    assert airflow.get(f"/stores/{BIKES}/api/run?dag_id={OWN}&run_id=tonight").status_code == 404


def test_the_page_offers_the_stores_and_says_what_commands_begin_with(airflow, both):
    lines = [
        {"dag_id": OWN, "title": "feature store", "path": "", "chosen": True},
        {"dag_id": BIKES, "title": "bike stations", "path": f"stores/{BIKES}/", "chosen": False},
    ]
    command = "bin/feature-store"
    assert airflow.get("/api/stores").json() == {"stores": lines, "command": command}
    lines = [{**line, "chosen": not line["chosen"]} for line in lines]
    assert airflow.get(f"/stores/{BIKES}/api/stores").json() == {
        "stores": lines,
        "command": f"{command} --store {FOLDER} --connection bikes",
    }


@pytest.mark.parametrize("path", ["/api/run", "/api/report"])
def test_a_link_that_names_a_dag_leads_to_its_store(airflow, both, path):
    """As mails and the tab of a run do."""
    found = airflow.get(f"{path}?dag_id={BIKES}&run_id=x")
    assert found.status_code == 404
    assert BIKES in found.json()["problem"]
    tab = airflow.get(f"/?dag_id={BIKES}&run_id=a%26b")
    assert tab.status_code == 307
    assert tab.headers["location"] == f"stores/{BIKES}/?dag_id={BIKES}&run_id=a%26b"
    assert airflow.get(f"/?dag_id={OWN}&run_id=x").status_code == 200


def test_a_command_on_the_page_of_a_store_reaches_it(airflow, both, bikes, monkeypatch, capsys):
    step = airflow.get(f"/stores/{BIKES}/api/now").json()["verdict"]["next_step"]
    assert step == f"airflow dags unpause {BIKES}"
    with psycopg.connect(bikes, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA feature_store_audit RENAME TO elsewhere")
        try:
            told = airflow.get(f"/stores/{BIKES}/api/runs").json()
        finally:
            connection.execute("ALTER SCHEMA elsewhere RENAME TO feature_store_audit")
    command = told["next_step"].partition("`")[2].partition("`")[0]
    assert command == f"bin/feature-store --store {FOLDER} --connection bikes apply"
    monkeypatch.setenv("AIRFLOW_CONN_BIKES", airflow_connection(bikes))
    assert main(shlex.split(command)[1:]) == 0
    assert "Nothing to do: the database is as the files say." in capsys.readouterr().out


def test_whoever_may_read_neither_dag_is_told_nothing(airflow, both):
    for path in ("/", "/api/stores", f"/stores/{BIKES}/", f"/stores/{BIKES}/api/now", "/stores/x/"):
        assert airflow.get(path, user="nobody").status_code == 403, path
        assert airflow.get(path, user=None).status_code == 401, path
    page = airflow.get(f"/stores/{BIKES}/", user=None, Accept="text/html").text
    assert f'<a href="{PREFIX}/" target="_top">Log in again</a>' in page


def test_whoever_may_read_the_other_dag_alone_is_led_to_it(airflow, both):
    from feature_store.reporting.page.access import path_of_page
    from feature_store.reporting.page.requested_store import Asked, request

    token = request.set(Asked(None, by_address=False, is_page=True, root=""))
    try:
        assert path_of_page(lambda dag_id: dag_id == BIKES) == f"stores/{BIKES}/"
        assert path_of_page(lambda _: True) == path_of_page(lambda _: False) == ""
    finally:
        request.reset(token)


@pytest.mark.parametrize(
    "path", ["/stores/", "/stores//", "/stores/a%00b/", f"/stores/{'x' * 999}/"]
)
def test_what_is_no_dag_s_name_is_no_address(airflow, both, path):
    assert airflow.get(path).status_code == 404


def test_a_folder_that_the_api_server_does_not_have_is_told(both, tmp_path, monkeypatch):
    from feature_store.reporting.page import stores

    known = dict(stores.stores())
    gone = replace(known[BIKES].settings, include_dir=tmp_path / "gone")
    assert replace(known[BIKES], settings=gone).title == BIKES
    assert known[BIKES].settings.schedule == "40 3 * * *"
    # A page whose settings name no store shows those that have a DAG.
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(tmp_path))
    assert BIKES in stores.stores()
