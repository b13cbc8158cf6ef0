"""A store that somebody built by hand, adopted in the README's steps, and the DAG over it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store
from feature_store.reporting.status import read_status
from feature_store.schema.object_states import State
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.roles import as_role, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import Server
from tests.feature_store.schema.hand_built import (
    F0_WITH_IMAGES,
    build_by_hand,
    stand_on_it,
    with_f0_declared,
)
from tests.relations import E_AI, F0

_OWNER = "etl"
_READER = "analysts"
_SETS = {"ml": "tom_features_v1", "feature_store": "iphone_device_meta_encoded_v2_model"}
_FIT = 12  # fifteen relations, less the two speed layers and E-AI, which lacks their columns

# The views that the owner has put on the store, with all that must stay as it is.
_VIEWS = b"""
SELECT oid, relname, pg_get_userbyid(relowner), relacl::text, reloptions, pg_get_viewdef(oid),
    obj_description(oid, 'pg_class')
FROM pg_class WHERE relnamespace = 'mine'::regnamespace ORDER BY relname
"""


@pytest.fixture
def theirs(server: Server, settings: Settings, store_files: Store) -> Iterator[str]:
    """A database with a store that its owner built, and views on it; its connection string."""
    name = f"adopted_{os.getpid()}"
    conninfo = server.create_database(name, "sources_only")
    grant_roles(conninfo, owner=_OWNER, reader=_READER)  # the roles must be there to own and read
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        load_sample(connection, SampleOptions(listings=300, days=20))
        connection.execute(f"SET SESSION AUTHORIZATION {_OWNER}".encode())
        build_by_hand(connection, store_files)
        stand_on_it(connection, _READER)
        connection.execute(f"GRANT USAGE ON SCHEMA mine TO {_READER}".encode())
    yield conninfo
    server.drop_database(name)


def test_an_adopted_store_is_refreshed_proven_and_certified_and_its_views_stay(
    theirs: str,
    airflow_conn: Callable[..., None],
    run_dag: Callable[..., Any],
    store_files: Store,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def typed(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, capsys.readouterr().out

    with psycopg.connect(theirs, autocommit=True) as connection:
        views = connection.execute(_VIEWS).fetchall()
        grant_roles(theirs, owner=_OWNER, reader=_READER)
        airflow_conn(as_role(theirs, _OWNER))
        code, plan = typed("plan")
        named = re.findall(r"Next: `bin/feature-store apply --replace (\S+)`", plan)
        assert (code, named) == (1, [E_AI])
        assert typed("apply", "--replace", E_AI)[0] == 0
        assert typed("stamp-contract", *_SETS.values())[0] == 0
        grant_roles(theirs, owner=_OWNER, reader=_READER)

        run = run_dag(theirs, as_of_day="2026-06-30")

        assert set(run.tasks.values()) == {"success"}
        for schema, feature_set in _SETS.items():
            certified = f"SELECT run_id FROM {schema}.require_certified(%s, '1 hour')"
            found = connection.execute(certified.encode(), (feature_set,)).fetchone()
            assert found == (run.run_id,)
        code, contracts = typed("check-contract")  # as the refresher, the role that the DAG runs as
        assert (code, contracts.count(": OK\n")) == (0, 2)
        states = [line.state for line in read_status(connection, store_files, settings.include_dir)]
        assert states.count(State.ADOPTED) == _FIT
        assert set(states) == {State.ADOPTED, State.AS_FILE}
        assert connection.execute(_VIEWS).fetchall() == views
    with psycopg.connect(as_role(theirs, _READER)) as reader:
        assert reader.execute("SELECT count(*) FROM mine.prices").fetchone() != (0,)


@pytest.mark.slow
def test_an_adopted_f0_with_fewer_listings_is_certified(
    theirs: str,
    airflow_conn: Callable[..., None],
    run_dag: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    include = tmp_path / "include"
    shutil.copytree(settings.include_dir, include)
    (include / "exceptions.toml").write_text(with_f0_declared(include))
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include))
    with psycopg.connect(theirs, autocommit=True) as connection:
        for statement in (
            f"SET SESSION AUTHORIZATION {_OWNER}",
            f"DROP MATERIALIZED VIEW {F0} CASCADE",
            f"CREATE MATERIALIZED VIEW {F0} AS {F0_WITH_IMAGES}",
            f"CREATE UNIQUE INDEX theirs ON {F0} (generation, listing_id)",
        ):
            connection.execute(statement.encode())
    airflow_conn(as_role(theirs, _OWNER))
    grant_roles(theirs, owner=_OWNER, reader=_READER)
    assert main(("apply", "--replace", E_AI)) == 0, capsys.readouterr().out
    assert main(("stamp-contract", *_SETS.values())) == 0
    grant_roles(theirs, owner=_OWNER, reader=_READER)

    run = run_dag(theirs, as_of_day="2026-06-30")

    assert set(run.tasks.values()) == {"success"}, run.tasks
    with psycopg.connect(theirs) as connection:
        counts = f"SELECT (SELECT count(*) FROM {F0}), (SELECT count(*) FROM {E_AI})"
        f0, e_ai = connection.execute(counts.encode()).fetchone() or (0, 0)
        assert 0 < f0 < e_ai
        certified = "SELECT run_id FROM feature_store.require_certified(%s, '1 hour')"
        found = connection.execute(certified, (_SETS["feature_store"],)).fetchone()
        assert found == (run.run_id,)
