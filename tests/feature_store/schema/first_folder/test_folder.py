"""`init` writes the folder of a store that somebody built by hand, until the store is adopted."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from feature_store.cli.commands import main
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.undecided import MARK, undecided
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from tests.feature_store.schema.bikes_by_hand import EXAMPLE, decide
from tests.feature_store.schema.hand_built import OWNER


@pytest.fixture
def written(bikes, typed, tmp_path) -> Path:
    """The folder that `init` wrote for the bikes."""
    folder = tmp_path / "bikes"
    code, _, err = typed(bikes, "init", folder)
    assert (code, err) == (0, "")
    return folder


def _marks(folder: Path) -> int:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return sum(path.read_text().count(MARK) for path in files)


def test_what_the_catalog_knows_is_written_and_the_database_is_as_it_was(bikes, typed, tmp_path):
    before, folder = bikes.snapshot(), tmp_path / "new" / "bikes"
    code, out, err = typed(bikes, "init", folder)
    assert (code, err) == (0, "")
    assert bikes.snapshot() == before

    assert out.startswith(f"Written to {folder}: the store bikes, ")
    assert f"\nTo decide: {_marks(folder)} places, each marked DECIDE: in the files.\n" in out
    assert f"\nNext: bin/feature-store check {folder}\n" in out
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    theirs = {p.relative_to(EXAMPLE).as_posix() for p in EXAMPLE.rglob("*") if p.is_file()}
    relations = {p.replace("/base/", "/read/") for p in theirs if re.match("sql/(base|read|vi)", p)}
    assert relations <= files  # each has a unique index, so no refresh must be blocking
    assert {p for p in theirs if p.startswith("sql/spec")} <= files
    assert (folder / "sources.toml").read_text().split("\n\n")[1:] == (
        EXAMPLE / "sources.toml"
    ).read_text().replace("# The tables", "\n\n").split("\n\n", 1)[1].partition("\n")[2].split(
        "\n\n"
    )
    text = (folder / "sql/read/bikes.morning_features_clean_mv.sql").read_text()
    assert text.startswith(
        "-- Relation:   bikes.morning_features_clean_mv, E-clean: E without the counts that the "
        "city has flagged. What models read.\n-- Grain:      one row per count_id\n"
    )
    rules = (folder / "leak_rules.toml").read_text()
    # The examples in comments can be taken as they are.
    tomllib.loads(rules.replace("  # {", "  {"))
    example = (folder / "exceptions.toml").read_text().partition("#\n")[2].replace("# ", "")
    (folder / "exceptions.toml").write_text(example)
    (exception,) = read_exceptions(folder)
    assert exception.id == "as-of-refresh"
    assert '"bikes.morning_features_clean_mv" = ["count_id", "flag"]' in rules
    assert "by which column is a row of its day (counted_at, emptied_at)?" in rules


def test_check_lists_all_that_a_person_decides_and_nothing_else(bikes, typed, written):
    code, out, err = typed(bikes, "check", written)
    assert (code, out) == (1, "")
    found = err.splitlines()[1:]
    assert len(found) == _marks(written)
    assert all(": to be decided: " in line for line in found)


def test_no_command_works_with_the_folder_before_all_is_decided(bikes, typed, written, monkeypatch):
    first = undecided(written)[0]
    with pytest.raises(BadInput) as caught:
        read_store(written)
    assert (
        caught.value.problem == f"{first.path}, line {first.line}: to be decided: {first.question}"
    )
    assert MARK in first.path.read_text().splitlines()[first.line - 1]
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(written))
    before = bikes.snapshot()
    for command in ("plan", "apply", "status"):
        code, out, err = typed(bikes, command)
        assert (code, out) == (2, "")
        assert f"`bin/feature-store check {written}` lists all that is left" in err
    assert bikes.snapshot() == before


def test_what_it_says_to_type_next_is_about_this_folder_and_this_database(
    bikes, typed, tmp_path, monkeypatch, capsys
):
    """The settings name another store, and their connection leads nowhere."""
    typed(bikes, "grants")  # the connection
    monkeypatch.setenv("AIRFLOW_CONN_BIKES", os.environ["AIRFLOW_CONN_FEATURE_STORE"])
    monkeypatch.delenv("AIRFLOW_CONN_FEATURE_STORE")
    monkeypatch.chdir(tmp_path)
    assert main(["--connection", "bikes", "init", "new bikes"]) == 0
    said = re.findall(r"^(?:Next|Then): bin/feature-store (.*)$", capsys.readouterr().out, re.M)
    assert said == [
        "check 'new bikes'", f"--store '{tmp_path}/new bikes' --connection bikes plan",
    ]  # fmt: skip
    decide(tmp_path / "new bikes")
    assert [main(shlex.split(command)) for command in said] == [0, 0]
    assert "To adopt as they are, and never alter: " in capsys.readouterr().out


def test_elsewhere_the_folder_builds_the_same_store(bikes, empty_db, typed, written, monkeypatch):
    decide(written)
    empty_db.run((EXAMPLE / "sources.sql").read_text())
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(written))
    assert typed(empty_db, "apply")[0] == 0
    described = """
        SELECT c.relname, translate(pg_get_viewdef(c.oid), '()', ''),
            obj_description(c.oid, 'pg_class'),
            ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid),
            ARRAY(SELECT ROW(attname, atttypid)::text
                FROM pg_attribute WHERE attrelid = c.oid ORDER BY attnum)
        FROM pg_class AS c WHERE c.relname = ANY(%s) ORDER BY c.relname
    """
    names = [str(r.name.relation) for r in read_store(written).relations]
    assert len(names) == 6
    assert empty_db.rows(described, names) == bikes.rows(described, names)


def test_a_second_init_is_refused_and_alters_nothing(bikes, typed, written):
    before = {p: p.read_bytes() for p in written.rglob("*") if p.is_file()}
    code, out, err = typed(bikes, "init", written)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {written} is not empty: it has ")
    assert {p: p.read_bytes() for p in written.rglob("*") if p.is_file()} == before


def test_another_store_of_views_two_registries_and_tables_between_them(
    hand_built, typed, tmp_path, monkeypatch
):
    """The documents' store, from which ours was made. The package must know nothing of it."""
    before, folder = hand_built.snapshot(), tmp_path / "theirs"
    code, out, _ = typed(hand_built, "init", folder, "--schemas", "ml,feature_store")
    assert code == 0
    assert hand_built.snapshot() == before
    assert "refreshed blocking (sql/base): ml.ask_daily_median_v1, ml.sold_durations_v1_mv" in out
    _, _, err = typed(hand_built, "check", folder)
    found = err.splitlines()[1:]
    assert len(found) == _marks(folder)
    assert all(": to be decided: " in line for line in found)
    contract = (folder / "contracts/tom_features_v1.toml").read_text()
    assert '{ ordinal = 1, name = "price", dtype = "int", description = "price" }' in contract
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_text(re.sub(f'{MARK}[^"\n]*', "decided", path.read_text()))
    store = read_store(folder)
    assert len(store.relations) == 13
    assert store.find("ml.sold_prices_v1_mv").refresh is Refresh.BLOCKING
    (listings,) = [s for s in store.sources if s.name == Name("iPhone", "iphone_listings")]
    assert listings.columns["edited_date"] == "timestamp"
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(folder))
    hand_built.conninfo = make_conninfo(hand_built.conninfo, user=OWNER)
    code, plan, _ = typed(hand_built, "plan")
    assert (code, "Blocked" in plan) == (0, False), plan
    adopted = plan.partition("To adopt as they are, and never alter: ")[2]
    assert all(str(relation.name) in adopted for relation in store.relations)
    assert hand_built.snapshot() == before
