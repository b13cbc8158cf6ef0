"""A rehearsal builds, fills, proves and compares what apply would replace, and leaves no trace."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import psycopg
import pytest

from feature_store.audit.lease import RunKey, release_lease, take_lease
from feature_store.cli.commands import main
from feature_store.errors import LeaseTaken, NotReady
from feature_store.schema.planning.rehearsal import rehearse
from tests.conftest import LiveStore
from tests.feature_store.conftest import Database
from tests.relations import D1 as _D1
from tests.relations import E_AI as _E_AI
from tests.relations import C as _C

_D1_FILE = f"sql/base/{_D1}.sql"
_AI_FILE = f"sql/read/{_E_AI}.sql"


@pytest.fixture(scope="module")
def rehearsed(server, filled_template, settings, store_files):
    """The name of a filled and stamped store, which nothing here changes."""
    name = "rehearsed"
    live = LiveStore(server.create_database(name, filled_template), store_files, settings)
    live.refresh()
    release_lease(live.connection, RunKey("tests", "run"))
    live.close()
    database = Database(live.conninfo, settings)
    yield database
    database.close()
    server.drop_database(name)


def _rehearse(database, include, *names: str, minutes: float = 10):
    return rehearse(database.connection, include.store, include.settings, names, minutes)


def test_it_tells_what_would_be_proven_and_what_differs_and_leaves_nothing(
    rehearsed, include, airflow_conn, monkeypatch, capsys
):
    include.edit(_D1_FILE, "/ 3600.0", "/ 60.0")
    before = rehearsed.snapshot()
    airflow_conn(rehearsed.conninfo)
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    assert main(["rehearse", "--minutes", "10"]) == 1
    out = capsys.readouterr().out
    (d1,) = [part for part in out.split("\nml.") if "sold_durations_v1_mv\n" in part][:1]
    assert "its specification: 454 rows compared, 454 differ" in d1
    assert "what readers have now: 454 rows compared, 454 differ" in d1
    assert "duration_hours" in d1
    assert "expectations: 0 met, 0 broken" in d1
    assert "expectations: 2 met, 0 broken" in out
    assert out.endswith("and thrown away. Readers saw nothing of it.\n")
    assert rehearsed.snapshot() == before


def test_a_change_that_changes_no_value_fits(rehearsed, include):
    include.edit(_AI_FILE, "ai.storage_gb_fixed_ai::int", "ai.storage_gb_fixed_ai::integer")
    done = _rehearse(rehearsed, include, _E_AI)
    (one,) = done.relations
    assert one.fits
    assert (one.proof.broken, one.live.broken, one.live.compared) == (0, 0, one.proof.compared)
    assert one.live.compared > 0


def test_what_apply_would_refuse_is_no_success(
    rehearsed, include, airflow_conn, monkeypatch, capsys
):
    """A script goes on by the exit code. Named as for apply, the contract's stamp may change."""
    for path, old, new in (
        (_AI_FILE, "\nFROM ml.tom", ",\n    e.price * 2 AS twice\nFROM ml.tom"),
        (_AI_FILE.replace("read", "specifications"), "\nFROM ml.tom",
         ",\n    e.price + e.price AS twice\nFROM ml.tom"),
        ("contracts/tom_features_v1.toml", '"AI, not as of t0: VAT invoice offered" },',
         '"AI, not as of t0: VAT invoice offered" },\n  '
         '{ ordinal = 52, name = "twice", dtype = "int", description = "Twice." },'),
    ):  # fmt: skip
        include.edit(path, old, new)
    airflow_conn(rehearsed.conninfo)
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    assert main(["rehearse"]) == 1
    out = capsys.readouterr().out
    assert "rows compared, 0 differ\n  expectations: " in out
    assert " 0 broken\n" in out
    assert "Apply would refuse:\n  - tom_features_v1: twice comes" in out
    assert main(["rehearse", "--stamp-contract", "tom_features_v1"]) == 0
    out = capsys.readouterr().out
    assert "    stamped again with this\n" in out
    assert "Apply would refuse" not in out


def test_a_specification_that_does_not_follow_is_told(rehearsed, include):
    include.edit(
        _AI_FILE, "\nFROM ml.tom_features", ",\n    e.price * 2 AS twice\nFROM ml.tom_features"
    )
    with pytest.raises(NotReady, match="it lacks twice"):
        _rehearse(rehearsed, include)


def test_nobody_who_reads_is_kept_waiting(rehearsed, include):
    include.edit(_D1_FILE, "/ 3600.0", "/ 60.0")
    ended: list[object] = []

    def run() -> None:
        with rehearsed.session() as connection:
            ended.append(rehearse(connection, include.store, include.settings, (), 10))

    thread = threading.Thread(target=run)
    thread.start()
    waits = 0.0
    with rehearsed.session() as reader:
        reader.execute("SET lock_timeout = '2s'")
        while thread.is_alive():
            begun = time.monotonic()
            reader.execute(f"SELECT count(*) FROM {_D1}".encode())
            reader.execute(f"SELECT count(*) FROM {_E_AI}".encode())
            waits = max(waits, time.monotonic() - begun)
            thread.join(0.02)
    assert len(ended) == 1
    assert waits < 2


def test_it_is_bounded(rehearsed, include):
    include.edit(_D1_FILE, "/ 3600.0", "/ 60.0")
    before = rehearsed.snapshot()
    with pytest.raises(NotReady, match="stopped: canceling statement due to statement timeout"):
        _rehearse(rehearsed, include, minutes=0.00001)
    assert rehearsed.snapshot() == before


def test_its_bound_is_of_all_that_it_asks_together(rehearsed, include):
    """Each of three queries about one relation takes less than the bound."""
    for name in ("one", "another", "a_third"):
        include.write(
            f"sql/expectations/uniqueness/{name}.sql",
            f"-- Expectation: {name} is found\n-- Relation: {_E_AI}\n-- Severity: critical\n"
            f"SELECT e.* FROM {_E_AI} AS e "
            "WHERE e.listing_id < (SELECT length(pg_sleep(2)::text));\n",
        )
    with pytest.raises(NotReady, match=r"Give it more than 0\.08 minutes"):
        _rehearse(rehearsed, include, _E_AI, minutes=0.08)


def test_it_waits_for_its_turn_like_apply(rehearsed, include):
    include.edit(_D1_FILE, "/ 3600.0", "/ 60.0")
    lease = take_lease(
        rehearsed.connection,
        RunKey("feature_store_refresh", "night"),
        lambda _: True,
        timedelta(0),
    )
    with pytest.raises(LeaseTaken):
        _rehearse(rehearsed, include)
    release_lease(rehearsed.connection, lease.holder)


def test_without_a_change_there_is_nothing_to_rehearse_which_is_no_fault(
    rehearsed, airflow_conn, capsys
):
    airflow_conn(rehearsed.conninfo)
    assert main(["rehearse"]) == 0
    assert capsys.readouterr().out == "Nothing to rehearse: every relation is as its file says.\n"


def test_what_cannot_be_rehearsed_is_not_called_as_its_file(store_db, airflow_conn, capsys):
    store_db.run(f"DROP MATERIALIZED VIEW {_C}", f"CREATE TABLE {_C} (x int)")
    airflow_conn(store_db.conninfo)
    assert main(["rehearse", "--minutes", "1"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"Nothing was rehearsed.\nApply would refuse:\n  - {_C}: ")


def test_a_source_that_is_missing_is_told_as_apply_tells_it(store_db, include):
    store_db.run('ALTER TABLE "iPhone".iphone_ai_enrich RENAME TO gone')
    with pytest.raises(NotReady, match=r"The source table iPhone\.iphone_ai_enrich is missing"):
        _rehearse(store_db, include)


def test_whoever_may_not_apply_may_not_rehearse(rehearsed, include, new_role):
    include.edit(_D1_FILE, "/ 3600.0", "/ 60.0")
    with rehearsed.session(new_role()) as stranger, pytest.raises(psycopg.Error):
        rehearse(stranger, include.store, include.settings, (), 10)
