"""CONTRIBUTING.md: each of its examples, put where it says, does what it says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from dataclasses import fields

import psycopg
import pytest

from feature_store.audit.lease import RunKey
from feature_store.audit.runs import open_run
from feature_store.cli.commands import main
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.errors import BadInput
from feature_store.proof.proving import compare_stored
from feature_store.schema.apply import apply
from feature_store.schema.audit_migrations import read_migrations
from feature_store.schema.privileges.audit_privileges import AUDIT_LOGS
from feature_store.schema.privileges.grants import KEPT, read_grants
from sandbox.roles import OWNER, REFRESHER, as_role, grant_roles
from tests.conftest import ROOT, LiveStore
from tests.docs.pages import changed
from tests.relations import E_AI

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = re.findall(r"`include/([^`]+\.sql)`:\n\n```sql\n(.*?)```", PAGE, re.S)
NEW = "ml.listings_by_day_v1_mv"


def test_a_relation_and_an_expectation_take_the_files_that_it_shows(include, store):
    assert [path.split("/")[1] for path, _ in EXAMPLES] == [
        "read",
        "specifications",
        "expectations",
    ]
    for path, text in EXAMPLES:
        include.write(path, text)
    store.files = read_store(include.directory)
    check_declarations(include.directory, store.files)

    apply(store.connection, store.files, include.settings)
    days = [f"2026-03-{day:02} 12:00+00" for day in (1, 1, 2)]
    store.load(
        [{"listing_id": n, "edited_date": day, "generation": 15} for n, day in enumerate(days)]
    )
    store.refresh()

    assert [row["listings"] for row in store.rows(NEW)] == [2, 1]
    done = compare_stored(store.connection, store.files.find(NEW))
    assert (done.compared, done.broken) == (2, 0)
    (one,) = [
        e
        for e in read_expectations(include.directory, store.files, "as_of_counts")
        if e.name == "no_day_is_crowded"
    ]
    assert store.connection.execute(one.query.encode()).fetchall() == []


def _diffs(section: str) -> dict[str, str]:
    """The diffs of a section, each under the file that is named last before it."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    *parts, _ = re.split(r"(```diff\n.*?```)", text, flags=re.S)
    return {
        re.findall(r"`([\w./-]+\.\w+)`", before)[-1]: diff.removeprefix("```diff\n")[:-3]
        for before, diff in zip(parts[::2], parts[1::2], strict=True)
    }


def test_a_feature_takes_the_lines_and_the_commands_that_it_shows(
    include, server, filled_template, airflow_conn, monkeypatch
):
    diffs = _diffs("Add a feature")
    assert [path.split("/")[-2] for path in diffs] == ["read", "specifications", "contracts"]
    for path, diff in diffs.items():
        file = path.removeprefix("include/")
        include.write(file, changed((include.directory / file).read_text(), diff))

    conninfo = server.create_database("new_feature", filled_template)
    grant_roles(conninfo)  # privileges on a database are not copied with it
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    airflow_conn(as_role(conninfo, OWNER))
    commands = PAGE.partition("## Add a feature")[2].partition("```sh\n")[2].partition("```")[0]
    for line in commands.splitlines():
        assert main(shlex.split(line)[1:]) == 0, line

    store = LiveStore(conninfo, include.store, include.settings)
    gigabytes = {1: 128, 2: 0, 3: None}
    seen = {"edited_date": "2026-03-01 12:00+00", "price": 640}
    store.load([{"listing_id": n, "storage_gb": gb, **seen} for n, gb in gigabytes.items()])
    store.refresh()
    shown = {row["listing_id"]: row["price_per_gb"] for row in store.rows(E_AI)}
    compared = store.connection.execute(
        "SELECT compared, broken FROM feature_store_audit.proof_log WHERE proof = %s", (E_AI,)
    ).fetchall()
    store.close()
    server.drop_database("new_feature")
    assert shown == {1: 5.0, 2: None, 3: None}
    assert compared == [(3, 0)]


def test_a_step_of_the_audit_schema_takes_the_file_and_the_line_that_it_shows(
    include, package, server, filled_template, store_files, settings, monkeypatch
):
    ((file, step),) = re.findall(r"`[\w/]+/(audit/NNNN\w+\.sql)`:\n\n```sql\n(.*?)```", PAGE, re.S)
    package.write(file.replace("NNNN", f"{len(read_migrations()) + 1:04}"), step)
    ((module, diff),) = _diffs("Change the audit schema").items()
    edited: dict[str, dict[str, None]] = {}
    exec(changed((ROOT / module).read_text(), diff), edited)
    (log,) = set(edited["AUDIT_LOGS"]) - set(AUDIT_LOGS)
    monkeypatch.setitem(AUDIT_LOGS, log, edited["AUDIT_LOGS"][log])
    include.write(KEPT, read_grants(include.directory))

    conninfo = server.create_database("next_step", filled_template)
    with psycopg.connect(as_role(conninfo, OWNER), autocommit=True) as owner:
        apply(owner, store_files, settings)
    grant_roles(conninfo, include.directory)
    with psycopg.connect(as_role(conninfo, REFRESHER), autocommit=True) as refresher:
        open_run(refresher, RunKey("d", "r"), "manual", "2026-03-01", "UTC")
        refresher.execute(
            "WITH v AS (INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, problem) "
            "VALUES ('d', 'r', 'x') RETURNING event_id) "
            "INSERT INTO feature_store_audit.size_log (verdict_event) SELECT event_id FROM v"
        )
        (size,) = refresher.execute("SELECT bytes FROM feature_store_audit.size_log").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            refresher.execute("DELETE FROM feature_store_audit.size_log")
    server.drop_database("next_step")
    assert (log, size > 1_000_000) == ("size_log", True)


def test_a_setting_takes_the_lines_that_it_shows(tmp_path, monkeypatch):
    (code, diff), (page, row) = _diffs("Add a setting").items()
    (tmp_path / "settings.py").write_text(changed((ROOT / code).read_text(), diff))
    spec = importlib.util.spec_from_file_location("edited_settings", tmp_path / "settings.py")
    edited = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, edited)
    spec.loader.exec_module(edited)

    assert edited.read_settings({}).mail_rows == 20
    assert edited.read_settings({"FEATURE_STORE_MAIL_ROWS": "5"}).mail_rows == 5
    with pytest.raises(BadInput, match="FEATURE_STORE_MAIL_ROWS is 0; expected 1 to 100"):
        edited.read_settings({"FEATURE_STORE_MAIL_ROWS": "0"})
    table = changed((ROOT / page).read_text(), row)
    assert re.findall(r"^\| `FEATURE_STORE_(\w+)` \|", table, re.M) == [
        field.name.upper() for field in fields(edited.Settings)
    ]


@pytest.mark.parametrize("word", re.findall(r"`((?:make|bin/feature-store) [a-z-]+)", PAGE))
def test_its_commands_exist(word):
    program, name = word.split()
    if program == "make":
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.M)
    else:
        with pytest.raises(SystemExit) as said:
            main([name, "--help"])
        assert said.value.code == 0
