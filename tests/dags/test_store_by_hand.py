"""From a store built by hand to its first night: what docs/your-own-store.md types."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_store.cli.commands import main
from feature_store.settings import Settings
from sandbox.server import Server
from tests.feature_store.conftest import Database
from tests.feature_store.schema.bikes_by_hand import build_bikes, decide

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/your-own-store.md").read_text()
PART = PAGE.partition("\n## From a store that is there\n")[2].partition("\n## ")[0]
SETS = ("morning_features_clean_mv", "morning_load_v1")
_ROWS = "SELECT count(*), sum(hashtext(t::text)) FROM bikes.{} AS t"
_VIEWS = """
SELECT c.oid, c.relname, c.relkind, pg_get_viewdef(c.oid), c.relowner, c.relacl::text,
    ARRAY(SELECT description FROM pg_description WHERE objoid = c.oid ORDER BY objsubid),
    ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid ORDER BY 1)
FROM pg_class AS c
WHERE c.relnamespace = 'bikes'::regnamespace AND c.relkind IN ('v', 'm') AND c.relname ~ '_mv|load'
ORDER BY c.relname
"""


@pytest.fixture
def database(server: Server, settings: Settings) -> Iterator[Database]:
    name = f"by_hand_{os.getpid()}"
    opened = Database(server.create_database(name), settings)
    build_bikes(opened)
    yield opened
    opened.close()
    server.drop_database(name)


@pytest.fixture
def walk(
    database: Database,
    airflow_conn: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[], dict[str, str]]:
    """Type what the page says. Once `check` has listed what is to be decided, decide it.

    Returns what was typed, each with what it printed.
    """

    def go() -> dict[str, str]:
        printed = {}
        monkeypatch.chdir(tmp_path)
        airflow_conn(database.conninfo)
        monkeypatch.setenv("AIRFLOW_CONN_BIKES", os.environ["AIRFLOW_CONN_FEATURE_STORE"])
        monkeypatch.delenv("AIRFLOW_CONN_FEATURE_STORE")
        for line in re.findall(r"^    (\S.*)$", PART, flags=re.MULTILINE):
            program, *arguments = shlex.split(line)
            if program == "export":
                monkeypatch.setenv(*arguments[0].split("=", 1))
                continue
            assert program == "bin/feature-store"
            code = main(arguments)
            told = capsys.readouterr()
            printed[arguments[0]] = told.out
            if arguments[0] == "check":
                assert (code, told.err.count("to be decided")) == (1, told.err.count("\n  - "))
                decide(tmp_path / arguments[1])
                assert main(arguments) == 0
            else:
                assert code == 0, told.err
        monkeypatch.delenv("FEATURE_STORE_INCLUDE_DIR")
        monkeypatch.delenv("FEATURE_STORE_CONN_ID")
        return printed

    return go


def test_the_page_leads_from_views_to_an_adopted_store_and_leaves_them_as_they_were(
    walk: Callable[[], dict[str, str]], database: Database
) -> None:
    before, views, rows = database.snapshot(), database.rows(_VIEWS), _rows(database)
    printed = walk()
    assert list(printed) == ["init", "check", "plan", "apply", "stamp-contract"]
    assert "To adopt as they are, and never alter: 6\n" in printed["plan"]
    assert "To replace" not in printed["plan"]
    # All that was there is unchanged: kinds, OIDs, files, owners, grants, the rows of tables.
    assert set(before) <= set(database.snapshot())
    assert (database.rows(_VIEWS), _rows(database)) == (views, rows)


@pytest.mark.slow
def test_a_store_built_by_hand_is_refreshed_proven_and_certified_and_stays(
    walk: Callable[[], dict[str, str]],
    database: Database,
    airflow_database: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    views, rows = database.rows(_VIEWS), _rows(database)
    walk()

    run = _load(tmp_path, monkeypatch).test(run_conf={"as_of_day": "2026-06-30"})

    states = {i.task_id: str(i.state) for i in run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    certified = "SELECT run_id FROM bikes.require_certified(%s, '1 hour')"
    for name in SETS:
        assert database.rows(certified, name) == [(run.run_id,)]
    assert database.rows(_VIEWS) == views
    assert _rows(database) == rows


def _rows(database: Database) -> list[Any]:
    return [database.rows(_ROWS.format(name)) for _, name, *_ in database.rows(_VIEWS)]


def _load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the store's DAG, from a DAG file with nothing beside it."""
    from airflow.dag_processing.dagbag import DagBag

    folder = tmp_path / "dags"
    folder.mkdir()
    text = (ROOT / "dags/feature_store_refresh.py").read_text()
    text = text.replace(
        "dag = feature_store_dag(doc_md=__doc__)",
        f'dag = feature_store_dag("{tmp_path}/stores/bikes", conn_id="bikes", doc_md=__doc__)',
    )
    package = f"PACKAGE = {str(ROOT / 'plugins')!r}"
    text = re.sub(r"^PACKAGE = .*$", package, text, flags=re.MULTILINE)
    (folder / "bikes_refresh.py").write_text(text)
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(folder))
    bag = DagBag(str(folder))
    assert not bag.import_errors
    dag = bag.dags["bikes_refresh"]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
    return dag
