"""The command line: what it prints, what it returns, and that it alters nothing when it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.audit.lease import RunKey, take_lease
from feature_store.cli.commands import main
from sandbox.server import folder_for_servers, start_server, stop_server
from tests.conftest import ROOT
from tests.relations import F3 as _F3

_TOM = "tom_features_v1"
_DEVICE = "iphone_device_meta_encoded_v2_model"
_STAMP = "bin/feature-store stamp-contract"
_ALL_51 = "33d030da93778d2efbb4297eccbb4bc852c23229bdfa5459eaf1bcba57ff136c"


@pytest.fixture
def run(capsys, airflow_conn):
    """Run one command on a database: exit code, what it printed, what it complained of."""

    def run_command(database, *arguments: str, user: str | None = None) -> tuple[int, str, str]:
        conninfo = database if isinstance(database, str) else database.conninfo
        airflow_conn(make_conninfo(conninfo, user=user) if user else conninfo)
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run_command


def _refused(run, database, code: int, *arguments: str, user: str | None = None) -> str:
    before = database.snapshot()
    got, out, err = run(database, *arguments, user=user)
    assert (got, out) == (code, ""), (got, out, err)
    assert database.snapshot() == before
    assert err.startswith("Error: ")
    return err.removeprefix("Error: ")


def test_from_nothing_to_a_stamped_store(sources_db, run, include):
    steps = include.objects + 1 + 3  # the audit schema, and three schemas that are missing
    code, out, _ = run(sources_db, "plan")
    assert code == 0
    assert out.startswith(f"To create: {steps}\n")
    code, out, _ = run(sources_db, "apply")
    assert code == 0
    assert out.startswith(f"Applied, in one transaction.\nCreated: {steps}\n")
    assert out.endswith(
        "New relations are empty until the next run of the DAG feature_store_refresh.\n"
        f"Stamp the contracts once, before the next run: {_STAMP} {_DEVICE} {_TOM}\n"
    )
    assert run(sources_db, "apply") == (0, "Nothing to do: the database is as the files say.\n", "")
    assert run(sources_db, "plan") == (
        0,
        f"In place, as their file: {include.objects}.\n"
        f"Stamp the contracts once, before the next run: {_STAMP} {_DEVICE} {_TOM}\n",
        "",
    )
    code, out, _ = run(sources_db, "check-contract")
    assert code == 1
    assert f"{_TOM}: MISMATCH\n  bound to  nothing yet\n  stamped   n=None never\n" in out
    code, out, _ = run(sources_db, "stamp-contract", _TOM, _DEVICE)
    assert code == 0
    assert out.startswith(
        f"{_TOM}: stamped, OK\n"
        f"  bound to  ml.tom_features_v1_enriched_ai_clean_mv\n"
        f"  stamped   n=51 {_ALL_51}\n"
        f"  database  n=51 {_ALL_51}\n"
        f"  file      {_ALL_51}\n"
    )
    code, out, err = run(sources_db, "check-contract")
    assert (code, err) == (0, "")
    assert f"{_TOM}: OK\n" in out
    assert f"{_DEVICE}: OK\n" in out


def test_apply_tells_only_what_is_still_to_do(store_db, run):
    """A function has no rows, a plain view is never empty, and what is stamped is stamped."""
    stamps = f"Stamp the contracts once, before the next run: {_STAMP} {_DEVICE} {_TOM}\n"
    store_db.run("DROP MATERIALIZED VIEW ml.tom_train_base_v1_mv")
    out = run(store_db, "apply")[1]
    assert "New relations are empty until the next run" in out
    assert stamps in out
    store_db.run(f"DROP VIEW {_F3}")
    out = run(store_db, "apply")[1]
    assert "New relations" not in out
    assert stamps in out
    assert run(store_db, "stamp-contract", _TOM, _DEVICE)[0] == 0
    store_db.run("DROP FUNCTION ml.store_freshness(interval)")
    out = run(store_db, "apply")[1]
    assert out.startswith("Applied, in one transaction.\n")
    assert "New relations" not in out
    assert "Stamp the contracts" not in out


def test_what_was_served_of_a_set_that_was_never_stamped_is_nothing_yet(store_db, run):
    told = _refused(run, store_db, 2, "served", _TOM, "1")
    assert told.startswith(f"{_TOM} has no feature log yet.\n")
    assert f"{_STAMP} {_TOM}" in told


def test_plan_of_a_blocked_store_is_shown_and_returns_1(store_db, run):
    store_db.run("DROP INDEX ml.sold_dur_v1_idx")
    before = store_db.snapshot()
    code, out, err = run(store_db, "plan")
    assert (code, err) == (1, "")
    assert out.startswith("Blocked: 1 not as their file.\n  - ml.sold_durations_v1_mv: altered")
    assert store_db.snapshot() == before


def test_apply_on_a_blocked_store_returns_1(store_db, run):
    store_db.run("DROP INDEX ml.sold_dur_v1_idx")
    err = _refused(run, store_db, 1, "apply")
    assert err.startswith("Nothing was applied:\n  - ml.sold_durations_v1_mv: altered")
    assert "\nReaders: what they had before.\n" in err


def test_plan_names_sources_that_are_not_as_the_folder_says_and_returns_1(store_db, run):
    """It is what a failed `prepare` sends people to."""
    store_db.run('ALTER TABLE "iPhone".iphone_ai_enrich RENAME COLUMN sale_mode TO mode')
    code, out, _ = run(store_db, "plan")
    assert code == 1
    assert "Sources, not as sources.toml says: 1\n" in out
    assert "The source column iPhone.iphone_ai_enrich.sale_mode is missing." in out


def test_apply_without_sources_returns_1(empty_db, run):
    err = _refused(run, empty_db, 1, "apply")
    assert "The source table iPhone.iphone_listings is missing." in err


def test_apply_while_a_run_has_the_lease_returns_1(store_db, run):
    store_db.run(f"DROP VIEW {_F3}")
    take_lease(store_db.connection, RunKey("d", "r"), lambda _: True, timedelta(0))
    err = _refused(run, store_db, 1, "apply")
    assert err.startswith("The store's lease belongs to d, run r, since ")
    assert "\nNext: Wait for that run to end, or stop it. If it has ended already" in err


def test_changed_words_are_written_without_the_hint_of_empty_relations(
    store_db, include, run, monkeypatch
):
    include.edit("sql/views/ml.spam_listings_v1.sql", "The flagged listing.", "Flagged.")
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    code, out, _ = run(store_db, "apply")
    assert code == 0
    assert out == (
        "Applied, in one transaction.\nComments written: 1\n  - ml.spam_listings_v1\n"
        f"In place, as their file: {include.objects}.\n"
    )


def test_status_shows_every_relation(store_db, run, store_files):
    code, out, err = run(store_db, "status")
    assert code == 1
    assert "Error: The store is not as it should be:\n  - not certified: " in err
    assert "waits for a run of the DAG to pass" in err
    lines = out.splitlines()
    assert lines[0].split() == [
        "relation", "refresh", "rows", "MB", "last", "refresh", "seconds", "certified", "state",
    ]  # fmt: skip
    relations = lines[2 : lines.index("")]
    assert [line.split()[0] for line in relations] == [str(r.name) for r in store_files.relations]


def test_status_of_one_relation_shows_it_alone(store_db, run):
    code, out, _ = run(store_db, "status", _F3)
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()[2:]] == [_F3]


def test_status_before_apply_says_missing_and_returns_1(sources_db, run):
    code, out, err = run(sources_db, "status")
    assert code == 1
    assert out.count("  missing") == 20
    assert "not as its file: ml.ask_daily_median_v1, " in err


def test_an_unknown_relation_is_bad_input(store_db, run):
    err = _refused(run, store_db, 2, "status", "ml.tom")
    assert err.startswith("'ml.tom' is not a relation of the store.\nNext: Use one of ")


def test_proofs_are_stamped_by_a_person_and_named_until_then(store_db, include, run, monkeypatch):
    assert run(store_db, "stamp-contract", _TOM)[1].endswith("The proofs are stamped.\n")
    include.edit("thresholds.toml", "most_rows_lost = 0.4", "most_rows_lost = 1.0")
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    changed = "  - thresholds.toml, most_rows_lost was 0.4, is 1.0\n"
    for command in ("plan", "status"):
        assert changed in run(store_db, command)[1]
    assert changed.strip() in _refused(run, store_db, 2, "stamp-contract", _TOM)
    stamped = "The proofs are stamped."
    assert run(store_db, "stamp-proofs") == (0, f"{stamped} Changed:\n{changed}", "")
    assert run(store_db, "stamp-proofs") == (0, f"{stamped}\n", "")


@pytest.mark.parametrize("command", ["check-contract", "stamp-contract"])
def test_an_unknown_set_is_bad_input(store_db, run, command):
    err = _refused(run, store_db, 2, command, _TOM, "no_such_set")
    assert err.startswith("There is no feature set called 'no_such_set' in ")
    assert f"Next: Use one of {_DEVICE}, {_TOM}." in err


def test_other_rows_than_stamped_are_bad_input_without_replace(store_db, include, run, monkeypatch):
    assert run(store_db, "stamp-contract", _TOM)[0] == 0
    include.edit(f"contracts/{_TOM}.toml", 'dtype = "text"', 'dtype = "text", is_nullable = false')
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    code, out, _ = run(store_db, "check-contract", _TOM)
    assert code == 1
    assert "  - its file has changed since the stamp: the stamp is " in out
    err = _refused(run, store_db, 2, "stamp-contract", _TOM)
    assert "Next: Give the changed set a new name, or stamp it with --replace." in err
    assert run(store_db, "stamp-contract", _TOM, "--replace")[0] == 0
    assert run(store_db, "check-contract", _TOM)[0] == 0


def test_a_stamp_that_the_relation_does_not_carry_returns_1(store_db, run):
    store_db.run(f"DROP VIEW {_F3}")
    err = _refused(run, store_db, 1, "stamp-contract", _DEVICE)
    assert f"the relation {_F3} does not exist" in err


def test_contracts_before_apply_return_1_with_apply(sources_db, run):
    for command in ("check-contract", "stamp-contract"):
        err = _refused(run, sources_db, 1, command, _TOM)
        assert err == (
            "The schema ml has no contract functions.\nNext: Run `bin/feature-store apply`.\n"
        )


def test_no_contract_files_at_all_are_not_all_is_well(store_db, include, run, monkeypatch):
    for path in (include.directory / "contracts").glob("*.toml"):
        path.unlink()
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    assert run(store_db, "check-contract")[0] != 0


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("FEATURE_STORE_ZONES", "UTC", "Unknown setting FEATURE_STORE_ZONES."),
        ("FEATURE_STORE_LOCK_TIMEOUT", "x", "FEATURE_STORE_LOCK_TIMEOUT is 'x'; expected a whole"),
        ("FEATURE_STORE_ZONE", "Mars", "FEATURE_STORE_ZONE is 'Mars'; expected a time zone's name"),
        ("FEATURE_STORE_INCLUDE_DIR", "/nowhere", "/nowhere/sources.toml cannot be read: "),
        ("FEATURE_STORE_CONN_ID", "no_such", "Airflow has no connection called 'no_such'."),
    ],
)
def test_settings_that_cannot_be_used_return_2(store_db, run, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    assert _refused(run, store_db, 2, "apply").startswith(words)


def test_a_file_that_cannot_be_used_returns_2_before_any_work(
    sources_db, include, run, monkeypatch
):
    include.edit("sql/base/ml.tom_features_v1_mv.sql", "WITH NO DATA", "")
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    err = _refused(run, sources_db, 2, "apply")
    assert "fills ml.tom_features_v1_mv when it creates it." in err


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_refused_connection_returns_3(run, tmp_path, command):
    code, out, err = run(f"host={tmp_path} user=rob dbname=shop", command)
    assert (code, out) == (3, "")
    assert err.startswith(f"Error: Cannot connect to {tmp_path}:5432/shop as rob: ")
    assert "Readers: nothing was changed.\n" in err


def test_a_lock_that_does_not_come_returns_3(store_db, run, monkeypatch):
    monkeypatch.setenv("FEATURE_STORE_LOCK_TIMEOUT", "1")
    with store_db.session() as other, other.transaction():
        other.execute("LOCK ml.feature_set")
        assert "lock timeout" in _refused_code_only(run, store_db, 3, "check-contract")


def _refused_code_only(run, database, code: int, *arguments: str) -> str:
    got, out, err = run(database, *arguments)
    assert (got, out) == (code, "")
    return err


def test_a_role_that_may_not_create_returns_1(sources_db, run, new_role):
    err = _refused(run, sources_db, 1, "apply", user=new_role())
    assert err.startswith("Nothing was applied: permission denied for database ")


@pytest.mark.parametrize(
    "arguments",
    [["plan"], ["apply"], ["status"], ["check-contract"], ["stamp-contract", _TOM]],
    ids=lambda arguments: arguments[0],
)
def test_a_role_without_privileges_is_told_what_to_do_next(store_db, run, new_role, arguments):
    err = _refused(run, store_db, 1, *arguments, user=new_role())
    assert "permission denied" in err
    assert "\nReaders: " in err
    if arguments == ["apply"]:
        assert "\nNext: Apply as postgres, the owner of this store." in err
    else:
        assert "with the login of 'feature_store'." in err
        assert "\nNext: Log in as the role whose command it is" in err


def test_on_a_standby_what_only_looks_works_and_what_changes_says_where_to_connect(run):
    with folder_for_servers("standby-") as place:
        server = start_server(place / "data")
        with psycopg.connect(server.conninfo) as connection:
            connection.execute((ROOT / "sandbox" / "sources.sql").read_bytes())
        stop_server(place / "data")
        (place / "data" / "standby.signal").touch()
        start_server(place / "data")
        try:
            assert "To create: " in run(server.conninfo, "plan")[1]
            code, out, err = run(server.conninfo, "apply")
        finally:
            stop_server(place / "data")
    assert (code, out) == (3, "")
    assert "is a standby, which only reads.\nReaders: nothing was changed.\nNext: Let " in err
    assert "target_session_attrs=read-write" in err


@pytest.mark.parametrize("arguments", [[], ["drop"], ["stamp-contract"], ["plan", "ml.x"]])
def test_a_command_line_that_cannot_be_read_returns_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: feature-store" in capsys.readouterr().err


def test_report_writes_the_latest_runs_report_or_any_others(store_db, run, tmp_path):
    code, _, err = run(store_db, "report", "--to", str(tmp_path))
    assert (code, "No run has been recorded" in err) == (1, True)
    for name, minute in (("monday", 0), ("tuesday", 1)):
        store_db.run(
            "INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, "
            "prepared_at, server_version) VALUES ('nightly', "
            f"'{name}', 'manual', '2026-06-30', 'UTC', '2026-07-01 03:0{minute} UTC', '18')"
        )
    code, out, _ = run(store_db, "report", "--to", str(tmp_path))
    assert code == 0
    assert "tuesday" in Path(out.strip()).read_text()
    code, out, _ = run(store_db, "report", "--run", "monday", "--to", str(tmp_path))
    assert "monday" in Path(out.strip()).read_text()
    code, _, err = run(store_db, "report", "--run", "sunday", "--to", str(tmp_path))
    assert code == 2
    assert "'tuesday' of nightly, 'monday' of nightly" in err


def test_check_leaks_finds_none_in_the_store_as_shipped(store_db, run):
    code, out, _ = run(store_db, "check-leaks")
    assert (code, out) == (0, "Leaks: 0. Declared exceptions: 5.\n")


def test_check_leaks_names_a_leak(store_db, run):
    store_db.run(
        "CREATE OR REPLACE VIEW ml.spam_token_v1 AS "
        "SELECT CASE WHEN now() > '2020-01-01' THEN 'spam' END AS token, TRUE AS is_spam"
    )
    code, out, _ = run(store_db, "check-leaks")
    assert code == 1
    assert "failure, time of query: ml.spam_token_v1" in out


def test_history_says_what_waits_and_accepting_takes_a_day_and_a_reason(store_db, run):
    code, out, _ = run(store_db, "history")
    assert (code, "No run has checked history yet." in out) == (0, True)
    code, _, err = run(store_db, "accept-history", "--day", "2026-01-02", "--reason", "late data")
    assert (code, "Nothing is pending for 2026-01-02" in err) == (2, True)
    for day in ("2026-1-2", "yesterday"):
        with pytest.raises(SystemExit):
            run(store_db, "accept-history", "--day", day, "--reason", "late data")


def test_status_names_the_declared_exceptions(store_db, run):
    _, out, _ = run(store_db, "status")
    assert (
        "Same-day ask median (same-day-ask, same-day): ml.tom_features_v1_enriched_mv reads" in out
    )


@pytest.mark.parametrize(
    "command", ["status", "plan", "stamp-proofs", "accept-history --day 2026-06-01 --reason x"]
)
def test_a_command_for_another_store_than_the_database_has_is_refused(
    store_db, run, include, command
):
    include.edit("store.toml", 'name = "iphone"', 'name = "bikes"')
    told = ("--store", str(include.directory), *command.split())
    err = _refused(run, store_db, 1, *told)
    assert "This database has the store iphone, of the DAG feature_store_refresh" in err


def test_what_a_command_for_a_named_store_tells_to_type_names_it_too(store_db, run, include):
    folder = include.directory
    code, out, _ = run(store_db, "--store", str(folder), "check-contract", _TOM)
    assert code == 1
    assert f"bin/feature-store --store {folder} stamp-contract {_TOM}" in out
    asked = ("--store", str(folder), "freshness", "--json")
    answer = json.loads(run(store_db, *asked)[1])
    assert answer["ok"] is False
    assert run(store_db, "check-contract", _TOM)[1].count("--store") == 0
