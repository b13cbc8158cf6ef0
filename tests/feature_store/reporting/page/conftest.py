"""A store with nights on its record, and a real API server of Airflow that shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from feature_store.reporting.store.store_files import Files, read_files
from feature_store.validation.leaks.feature_lineage import record_lineage, trace_features
from feature_store.validation.leaks.gates import read_gate_context
from sandbox.components import Components, on_postgres
from sandbox.roles import PAGE, as_role, grant_roles
from sandbox.server import airflow_connection
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights
from tests.feature_store.reporting.page.nights import write_nights
from tests.feature_store.validation.leaks.variants import EXCEPTIONS, RULES, SETS

PREFIX = "/data"
"""Where this Airflow stands: `[api] base_url` has a path."""
PASSWORDS = {"admin": "a-password", "viewer": "v-password", "nobody": "n-password"}
"""An administrator, a viewer, and one who may log in and read no DAG."""
ANN, BEN = (SimpleAuthManagerUser(username=name, role="viewer") for name in ("ann", "ben"))
TONIGHT = "tonight"
SECRET = "never-to-be-shown"


@pytest.fixture(scope="session")
def files(settings) -> Files:
    return read_files(settings.include_dir)


@pytest.fixture(scope="session")
def nightly(server, store_files, settings, files) -> Iterator[Database]:
    """Forty nights and one that was certified just now, with what their features are made of."""
    database = Database(server.create_database("nightly", "store"), settings)
    write_nights(database.connection, files, 1, 40)
    nights = CertifiedNights(database, store_files, settings)
    lease = nights.good(TONIGHT)
    scene = read_gate_context(database.connection, store_files, SETS, RULES, EXCEPTIONS)
    record_lineage(database.connection, lease, trace_features(scene))
    database.run(
        "UPDATE feature_store_audit.run_log SET as_of_day = current_date "
        f"WHERE run_id = '{TONIGHT}'",
        "UPDATE feature_store_audit.lease SET dag_id = NULL, run_id = NULL",
    )
    grant_roles(database.conninfo, owner="postgres")
    yield database
    database.close()


class Airflow:
    """A running API server, and the connection to the store that it has."""

    def __init__(self, address: str, secret: str) -> None:
        self.address = address
        self.secret = secret
        self._client = httpx.Client(
            base_url=address, timeout=60, limits=httpx.Limits(max_connections=None)
        )
        self._tokens: dict[str, str] = {}

    def token(self, user: str) -> str:
        if user not in self._tokens:
            account = {"username": user, "password": PASSWORDS[user]}
            answer = self._client.post("/auth/token", json=account)
            assert answer.status_code == 201, answer.text
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    def get(self, path: str, user: str | None = "viewer", **headers: str) -> httpx.Response:
        """Ask for a page of ours; without a login if the user is None."""
        if user:
            headers["Authorization"] = f"Bearer {self.token(user)}"
        return self._client.get(f"/feature-store{path}", headers=headers)

    def other(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask for anything else, with its full path after the prefix."""
        return self._client.request(method, path, **options)

    def use_store(self, conninfo: str, *, conn_id: str = "feature_store", **more: Any) -> None:
        """Keep a connection to this store in Airflow's own database."""
        from airflow.models import Connection
        from airflow.utils.session import create_session

        told = {**json.loads(airflow_connection(conninfo)), **more}
        with create_session() as session:
            for old in session.query(Connection).filter_by(conn_id=conn_id):
                session.delete(old)
            session.flush()
            if told.pop("there", True):
                told["extra"] = json.dumps(told["extra"])
                session.add(Connection(conn_id=conn_id, **told))


@pytest.fixture(scope="session")
def airflow(nightly, tmp_path_factory) -> Iterator[Airflow]:
    """An API server, started once. Airflow has its connection to the store, of the page's role."""
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, check=True, capture_output=True, env=os.environ)
    home = tmp_path_factory.mktemp("airflow")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    running = Components(
        home,
        {
            **on_postgres(nightly.conninfo, nightly.conninfo),
            "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,nobody:",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__WORKERS": "1",
        },
    )
    environment = running.environment
    address = environment["AIRFLOW__API__BASE_URL"] + PREFIX
    environment["AIRFLOW__API__BASE_URL"] = address
    for ours in ("AIRFLOW_CONN_FEATURE_STORE", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        del environment[ours]
    shown = Airflow(address, environment["AIRFLOW__API_AUTH__JWT_SECRET"])
    shown.use_store(as_role(nightly.conninfo, PAGE))
    running.start_component("api-server")
    try:
        _wait_for(shown, running.logs)
        yield shown
    finally:
        running.stop()


def _wait_for(airflow: Airflow, logs: Callable[[], str]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if airflow.other("GET", "/api/v2/version").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, logs()
        time.sleep(0.3)


@pytest.fixture
def elsewhere(airflow, nightly) -> Iterator[Callable[..., None]]:
    """Let the API server ask another database until the test ends."""
    yield airflow.use_store
    airflow.use_store(as_role(nightly.conninfo, PAGE))


@pytest.fixture(scope="session")
def static() -> Path:
    from feature_store.reporting.page import assets

    return assets.FOLDER
