"""The programs and the server take the commands and the SQL that the pages give them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import psycopg
import pytest
import yaml

from feature_store.cli.commands import main
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.schema.stamps.contract_stamp import stamp
from sandbox.roles import REFRESHER, as_role
from sandbox.server import run_psql
from tests.conftest import LiveStore
from tests.feature_store.test_told_commands import AIRFLOWS, told

from .pages import PAGES, ROOT, lines_that_call

_NOBODY = '{"conn_type": "postgres", "host": "127.0.0.1", "port": 1}'
_CANNOT_CONNECT = 3
_OFFLINE = ("check", "grants")


def _blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```$"
    return [
        block
        for name, text in sorted(PAGES.items())
        if name != "CONTRIBUTING.md"  # test_contributing.py makes what its blocks say
        for block in re.findall(pattern, text, flags=re.MULTILINE | re.DOTALL)
    ]


@pytest.fixture
def include_with_a_second_version(tmp_path):
    """The folder of docs/upgrades.md, in which a second version is stamped."""
    include = shutil.copytree(ROOT / "include", tmp_path / "include")
    first = include / "contracts" / "tom_features_v1.toml"
    second = first.read_text().replace("tom_features_v1", "tom_features_v2")
    first.with_name("tom_features_v2.toml").write_text(second)
    return include


@pytest.mark.parametrize("line", lines_that_call("bin/feature-store"))
def test_the_command_line_takes_what_the_pages_type(
    line, include_with_a_second_version, monkeypatch, capsys
):
    """There is no database: a command that gets as far as connecting has understood every word."""
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", _NOBODY)
    arguments = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    if arguments[0] in _OFFLINE:
        expected = 0
    else:
        expected = _CANNOT_CONNECT
        monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include_with_a_second_version))
    assert main(arguments) == expected, capsys.readouterr().err


@pytest.mark.parametrize("line", lines_that_call("airflow"))
def test_airflow_takes_what_the_pages_type(line):
    from airflow.cli.cli_parser import get_parser

    get_parser().parse_args(shlex.split(line, comments=True)[1:])


def test_airflow_takes_what_the_packages_own_words_type():
    from airflow.cli.cli_parser import get_parser

    commands = told(AIRFLOWS)
    assert len(commands) > 5
    for text in commands:
        get_parser().parse_args(shlex.split(text.rstrip(".")))


@pytest.mark.parametrize("line", lines_that_call("make"))
def test_make_has_what_the_pages_type(line):
    words = shlex.split(line, comments=True)
    targets = [word for word in words[1:] if "=" not in word]
    known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets
    assert set(targets) <= set(known)
    options = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {word.split("=")[0] for word in words if "=" in word} <= set(options)


def test_the_server_takes_the_sql_of_the_pages(store_database, store_files, settings):
    statements = [s for block in _blocks("sql") for s in block.split(";\n") if s.strip()]
    assert len(statements) > 10
    with psycopg.connect(store_database, autocommit=True) as connection:
        for feature_set in read_feature_sets(settings.include_dir):
            stamp(connection, feature_set, replace=False)
        store = LiveStore(store_database, store_files, settings)
        store.refresh()  # what was never filled cannot be read
        store.close()
        for statement in statements:
            connection.execute(statement.encode())


def test_the_pages_import_takes_times_in_the_zone_that_it_is_told(sources_database, tmp_path):
    page = PAGES["install.md"]
    (copy,) = re.findall(r"-c '(\\copy [^']+ FROM STDIN CSV HEADER)'", page)
    (zone,) = re.findall(r'`-c "(SET TimeZone = [^"]+)" -c \'\\copy …\'`', page)
    with psycopg.connect(sources_database) as connection:
        columns = [
            column.name
            for column in connection.execute('SELECT * FROM "iPhone".iphone_listings').description
        ]
    row = {"listing_id": "1", "edited_date": "2026-03-01 00:30"}
    csv = f"{','.join(columns)}\n{','.join(row.get(c, '') for c in columns)}\n"
    days = []
    for setting in ("SET TimeZone = 'UTC'", zone):
        file = tmp_path / "import.sql"
        file.write_text(f"{setting};\n{copy}\n{csv}\\.\n")
        run_psql(sources_database, file, ON_ERROR_STOP="on")
        with psycopg.connect(sources_database, options="-c TimeZone=UTC") as connection:
            days += connection.execute(
                'DELETE FROM "iPhone".iphone_listings RETURNING edited_date::date::text'
            ).fetchall()
    assert days == [("2026-03-01",), ("2026-02-28",)]


_READS = {
    "check-contract": "tom_features_v1: OK",
    "check-leaks": "Leaks: 0. Declared exceptions: 5.",
    "freshness": "tom_features_v1: certified ",
    "freshness --json": '"ok": true',
    "freshness --max-age '30 hours'": "tom_features_v1: certified ",
    "history": "Pending reviews",
    "plan": "In place, as their file: ",
    "report": ".html",
    "report --json": '"run_id": "night 1"',
    "served tom_features_v1 300000110": "price",
    "skew": "the first run only starts the logs",
    "status": "Certified: the last run that certified the store answers for ",
}
# Of a relation whose file is gone, or has changed: tests/feature_store/schema types these.
_ELSEWHERE = {
    "plan --drop ml.listings_by_day_v1_mv",
    "plan --replace ml.tom_features_v1_enriched_ai_clean_mv",
}


def test_what_the_pages_type_to_look_at_a_store_finds_it_well(
    certified, airflow_conn, monkeypatch, tmp_path, capsys
):
    """What changes it is typed where its effect is looked at."""
    airflow_conn(as_role(certified, REFRESHER))
    monkeypatch.setenv("FEATURE_STORE_REPORT_DIR", str(tmp_path))
    lines = {line.partition("#")[0].strip() for line in lines_that_call("bin/feature-store")}
    typed = {line.removeprefix("bin/feature-store ") for line in lines}
    reading = {line for line in typed if line.split()[0] in {r.split()[0] for r in _READS}}
    assert reading - _ELSEWHERE == _READS.keys()
    for line, word in _READS.items():
        capsys.readouterr()
        code = main(shlex.split(line))
        out, err = capsys.readouterr()
        assert (code, err) == (0, ""), line
        assert word in out, line


def test_the_metrics_of_the_pages_are_airflows():
    import airflow

    registry = next(Path(airflow.__file__).parent.rglob("metrics_template.yaml"))
    metrics = yaml.safe_load(registry.read_text())["metrics"]
    known = {m["name"] if m["legacy_name"] == "-" else m["legacy_name"] for m in metrics}
    patterns = [re.sub(r"\\\{\w+\\\}", r"[\\w.]+", re.escape(name)) for name in known]
    named = re.findall(r"`airflow\.([a-z_]+[.\w]*)`", PAGES["operations.md"])
    assert len(named) > 5
    for name in named:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
