"""A backup that is restored as docs/operations.md says is the store again, and goes on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.database.session import pin
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.schema.feature_logs.feature_log import log_problems
from sandbox.load import load_sample
from sandbox.roles import OWNER, READER, REFRESHER, as_role
from sandbox.sample.options import SampleOptions
from sandbox.server import (
    available_versions,
    folder_for_servers,
    run_psql,
    start_server,
    stop_server,
)
from tests.conftest import create_store
from tests.docs.pages import ROOT, blocks, section
from tests.docs.shell import Shell
from tests.feature_store.refresh.certified import certify_store
from tests.feature_store.schema.roles.governed import Governed, nightly_run

_SETS = (
    "ml.require_certified('tom_features_v1', '1 hour')",
    "feature_store.require_certified('iphone_device_meta_encoded_v2_model', '1 hour')",
)
_LOGS = ("feature_log.tom_features_v1", "feature_log.iphone_device_meta_encoded_v2_model")
_PATIENCE = "idle_in_transaction_session_timeout"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where somebody types: a checkout, but what is written there is the test's."""
    (tmp_path / "include").symlink_to(ROOT / "include")
    return tmp_path


def _required(conninfo: str, run_id: str) -> None:
    with psycopg.connect(as_role(conninfo, READER)) as connection:
        for ask in _SETS:
            assert connection.execute(f"SELECT run_id FROM {ask}".encode()).fetchone() == (run_id,)


def _refused(conninfo: str) -> None:
    with psycopg.connect(as_role(conninfo, READER)) as connection:
        for ask in _SETS:
            with pytest.raises(psycopg.errors.RaiseException, match="was rewritten since it was"):
                connection.execute(f"SELECT {ask}".encode())
            connection.rollback()


def _logged(conninfo: str) -> list[list[tuple]]:
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return [
            sorted(connection.execute(f"SELECT l::text FROM {log} AS l".encode()).fetchall())
            for log in _LOGS
        ]


def _patience(conninfo: str) -> object:
    with psycopg.connect(as_role(conninfo, READER)) as connection:
        return connection.execute(f"SHOW {_PATIENCE}".encode()).fetchone()


def _typed(lines: str, capsys) -> list[str]:
    """What our program says to the lines of a block that call it; each must succeed."""
    said = []
    for line in lines.splitlines():
        words = line.partition("#")[0].split()
        if words[0] == "bin/feature-store":
            capsys.readouterr()
            assert main(words[1:]) == 0, capsys.readouterr()
            said.append(capsys.readouterr().out)
    return said


def test_a_restored_store_is_as_its_files_refuses_until_a_night_and_goes_on(
    certified, server, folder, settings, store_files, airflow_conn, capsys
):
    dump, then = blocks(section("operations.md", "Restoring from a backup"), "sh")
    restored = server.database("restored")
    try:
        said = Shell(server, 18, folder).type(dump, DATABASE=certified)
        assert said.splitlines()[-1] == "The roles have what they need."

        airflow_conn(as_role(restored, REFRESHER))
        plan, contract = _typed(then, capsys)
        objects = plan.removeprefix("In place, as their file: ").removesuffix(".\n")
        assert objects.isdigit()
        assert contract.count(": OK\n") == 2
        _refused(restored)
        assert _logged(restored) == _logged(certified)
        assert all(_logged(restored))
        assert _patience(restored) == ("1h",), "a dump holds no setting of a role in a database"
        with psycopg.connect(restored, autocommit=True) as connection:
            pin(connection, settings, "tests")
            assert log_problems(connection, read_feature_sets(settings.include_dir)) == []

        certify_store(as_role(restored, REFRESHER), settings, store_files, "night 2")
        _required(restored, "night 2")
        _required(certified, "night 1")
    finally:
        server.drop_database("restored")


@pytest.mark.slow
def test_without_the_record_a_restored_store_counts_as_built_by_hand(
    certified, server, folder, airflow_conn, capsys
):
    dump, *_ = blocks(section("operations.md", "Restoring from a backup"), "sh")
    without = "pg_dump -N feature_store_audit -N feature_log"
    assert f"`{without}`" in section("operations.md", "Restoring from a backup")
    dump = "\n".join(dump.replace("pg_dump", without).splitlines()[:3])
    try:
        Shell(server, 18, folder).type(dump, DATABASE=certified)
        airflow_conn(as_role(server.database("restored"), OWNER))
        assert main(["plan"]) == 0
        told = capsys.readouterr().out
        assert "  - audit schema, steps 1 to " in told
        assert "To adopt as they are, and never alter: 28\n" in told
    finally:
        server.drop_database("restored")


@pytest.mark.slow
@pytest.mark.skipif(len(available_versions()) < 2, reason="there is one version here")
def test_on_another_server_of_a_new_major_version_it_goes_on_and_history_does_not_move(
    servers, folder, settings, store_files, airflow_conn, capsys
):
    newest, *_, oldest = available_versions()
    move, then = blocks(
        section("operations.md", "On another server, or a new major version of PostgreSQL"), "sh"
    )
    old = servers[oldest].create_database("moved", "sources_only")
    with psycopg.connect(old, autocommit=True) as connection:
        pin(connection, settings, "tests")
        load_sample(connection, SampleOptions(listings=300, days=20))
    create_store(old, store_files, settings)
    nightly_run(Governed(old, oldest, store_files, settings), "night 1")
    with folder_for_servers("feature-store-moved-") as home:
        server = start_server(home / "new", newest)
        try:
            typed = "\n".join(line for line in move.splitlines() if not line.startswith("airflow"))
            Shell(server, newest, folder).type(typed, OLD=old, NEW=server.conninfo)
            new = server.database("moved")
            assert _patience(new) == ("1h",)
            _refused(new)
            assert _logged(new) == _logged(old)

            airflow_conn(as_role(new, OWNER))
            plan, _ = _typed(then, capsys)
            assert "In place, as their file: " in plan
            assert "Descriptions by this server to record: " in plan
            assert main(["plan"]) == 0
            assert capsys.readouterr().out.startswith("In place, as their file: ")

            nightly_run(Governed(new, newest, store_files, settings), "night 2")
            _required(new, "night 2")
            with psycopg.connect(new) as connection:
                found = connection.execute("SELECT * FROM feature_store_audit.history_finding")
                assert found.fetchall() == [], "no leak, no review, and no new definition"
        finally:
            stop_server(home / "new")
    servers[oldest].drop_database("moved")


@pytest.mark.slow
def test_what_compose_dumps_it_restores_on_a_volume_that_its_image_has_set_up(
    servers, certified, folder, airflow_conn, capsys
):
    dump, restore = blocks(section("install.md", "As a nightly service: Docker Compose"), "sh")
    inside = "docker compose exec -T store "
    dump, restore = (
        "\n".join(line.removeprefix(inside) for line in lines.splitlines() if inside in line)
        for lines in (dump, restore)
    )
    newest = available_versions()[0]
    Shell(servers[newest], newest, folder).type(dump)
    with folder_for_servers("feature-store-volume-") as home:
        server = start_server(home / "new", newest)
        try:
            new = server.create_database("scrapes")
            run_psql(new, ROOT / "sandbox" / "sources.sql")
            run_psql(new, ROOT / "include" / "roles.sql")
            Shell(server, newest, folder).type(restore)
            _refused(new)
            assert _logged(new) == _logged(certified)
            airflow_conn(as_role(new, OWNER))
            assert main(["apply"]) == 0
            assert "Nothing to do" in capsys.readouterr().out
        finally:
            stop_server(home / "new")
