"""Two stores in one Airflow: the page offers both and shows each, in the shell and alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import expect

from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.server import Server, airflow_connection
from tests.conftest import ROOT

from .conftest import PageAirflow
from .sight import Sight

FOLDER = ROOT / "examples/bike_stations"
DAG = "bike_stations_refresh"
_FILE = f"""
import airflow
from feature_store.operators.nightly_dag import feature_store_dag
dag = feature_store_dag({str(FOLDER)!r}, conn_id="bikes")
"""
# As Airflow's DAG processor does with each file.
_READ = """
import sys
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
sync_bag_to_db(bag, "dags-folder", None)
"""


@pytest.fixture(scope="module")
def second(airflow: PageAirflow, server: Server, tmp_path_factory: object) -> Iterator[None]:
    """The second store, applied and never refreshed, with its DAG and its connection."""
    conninfo = server.create_database("browser_bikes")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute((FOLDER / "sources.sql").read_bytes())
        pin(connection, Settings(), "tests")
        bootstrap(connection, read_store(FOLDER), Settings(include_dir=FOLDER))
    told = json.loads(airflow_connection(conninfo))
    told["extra"] = json.dumps(told["extra"])
    airflow.call("POST", "connections", {"connection_id": "bikes", **told})
    dags = Path(tmp_path_factory.mktemp("dags"))  # type: ignore[attr-defined]
    (dags / "bikes.py").write_text(_FILE)
    read = [sys.executable, "-c", _READ, str(dags)]
    subprocess.run(read, check=True, env=airflow.environment, capture_output=True)
    yield
    server.drop_database("browser_bikes")


def test_the_page_leads_from_one_store_to_the_other_and_back(sight: Sight, second: None) -> None:
    sight.open()
    sight.settle()
    choice = sight.frame.get_by_role("combobox", name="Store", exact=True)
    expect(choice.locator("option")).to_have_text(["feature store", "bike stations"])
    expect(sight.frame.get_by_text("ml.tom_features_v1_mv").first).to_be_attached()

    choice.select_option(label="bike stations")
    expect(sight.frame.locator(".standing")).to_have_text("Empty")
    expect(sight.frame.get_by_text("bikes.mornings_mv").first).to_be_attached()
    assert sight.scripts("document.title") == "Now · bike stations"
    assert sight.scripts("location.pathname").endswith(f"/feature-store/stores/{DAG}/")
    sight.go("#features", "Features")
    sight.take("stores")

    choice.select_option(label="feature store")
    expect(sight.frame.get_by_text("ml.tom_features_v1_mv").first).to_be_attached()
    assert sight.scripts("location.pathname").endswith("/feature-store/")


def test_a_second_store_s_page_leads_into_airflow_by_its_own_links(
    sight: Sight, second: None
) -> None:
    sight.open_alone(f"?dag_id={DAG}&run_id=none")
    expect(sight.page.get_by_role("alert")).to_contain_text("none")
    assert sight.page.url.endswith(f"/feature-store/stores/{DAG}/?dag_id={DAG}&run_id=none")
    home = sight.page.evaluate(
        f"import('/feature-store/stores/{DAG}/static/shell.js')"
        ".then((shell) => shell.airflowLink('dags/x').href)"
    )
    assert home.endswith("/dags/x")
    assert "/feature-store" not in home
    # The browser itself notes the 404 of a run that is not there.
    sight.complaints[:] = [c for c in sight.complaints if "404" not in c]
