"""A DAG file that cannot be used is refused in words: Airflow shows them as its import error.

Two files may not make one DAG, or aim at one database. The refreshes must have an order.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from feature_store.settings import read_settings

ROOT = Path(__file__).resolve().parents[3]
_FILE = """
import airflow
from feature_store.operators import nightly_dag
{call}
"""


@pytest.fixture
def dags(tmp_path):
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path):
    """A copy of the second store's folder, with changes to its store.toml."""

    def copy(name: str, *changes: tuple[str, str]) -> Path:
        copied = tmp_path / name
        shutil.copytree(ROOT / "examples/bike_stations", copied)
        toml = copied / "store.toml"
        for old, new in changes:
            assert old in toml.read_text()
            toml.write_text(toml.read_text().replace(old, new))
        return copied

    return copy


@pytest.fixture
def errors(dags):
    """The import errors that Airflow has for DAG files with these calls, by the files' names."""

    def parse(**calls: str) -> dict[str, str]:
        from airflow.dag_processing.dagbag import DagBag

        for name, call in calls.items():
            (dags / f"{name}.py").write_text(_FILE.format(call=call))
        # Each file by itself, as Airflow's DAG processor reads it.
        bags = [DagBag(str(path)) for path in sorted(dags.glob("*.py"))]
        return {Path(file).stem: error for bag in bags for file, error in bag.import_errors.items()}

    return parse


def _call(folder: Path | None, conn_id: str = "") -> str:
    arguments = [f"folder={str(folder)!r}"] if folder else []
    arguments += [f"conn_id={conn_id!r}"] if conn_id else []
    return f"dag = nightly_dag.feature_store_dag({', '.join(arguments)})"


def test_two_stores_of_their_own_are_two_dags(errors, store):
    other = store("other", ('"bikes"\ntitle', '"more"\ntitle'), ("bike_stations_refresh", "more"))
    calls = {"a": _call(store("bikes"), "a"), "b": _call(other, "b"), "z": _call(None)}
    assert errors(**calls) == {}


OTHER_NAME = ('name = "bikes"', 'name = "more"')
OTHER_DAG = ("bike_stations_refresh", "more")


@pytest.mark.parametrize(
    ("changes", "connection", "words"),
    [
        ((OTHER_NAME,), "b", "Two DAG files have one dag_id, 'bike_stations_refresh': a.py"),
        ((OTHER_DAG,), "b", "Two DAG files have one name, 'bikes': a.py"),
        ((OTHER_NAME, OTHER_DAG), "a", "Two DAG files have one conn_id, 'a': a.py"),
    ],
    ids=["one DAG id", "one name", "one connection"],
)
def test_the_second_of_two_files_is_refused_and_the_first_goes_on(
    errors, store, changes, connection, words
):
    first, second = store("first"), store("second", *changes)
    found = errors(b=_call(second, connection), a=_call(first, "a"))
    assert list(found) == ["b"]
    assert words in found["b"]
    assert str(first) in found["b"]
    assert "Readers: what they had: nothing was changed, and the other DAG goes on." in found["b"]


def test_the_store_of_the_settings_goes_first_whatever_its_file_is_called(errors, store):
    copied = store("copy", ("bike_stations_refresh", "feature_store_refresh"))
    found = errors(a=_call(copied, "bikes"), z=_call(None))
    assert list(found) == ["a"]
    assert str(read_settings().include_dir) in found["a"]


def test_what_cannot_be_told_from_a_file_refuses_nothing(errors, store):
    folder = store("bikes")
    broken = store("broken", ('name = "bikes"', 'name = "Bikes"'))
    found = errors(
        a=f"import os; dag = nightly_dag.feature_store_dag(os.path.join({str(folder)!r}), "
        "conn_id='x')",
        b=_call(folder, "x"),
        c="feature_store_dag(  # no Python",
        d=_call(broken, "y"),
    )
    assert sorted(found) == ["c", "d"]
    assert "store.toml" in found["d"]


def test_assets_of_a_second_store_have_names_of_their_own(dags, store):
    from airflow.dag_processing.dagbag import DagBag

    for name, call in {"a": _call(None), "b": _call(store("bikes"), "bikes")}.items():
        (dags / f"{name}.py").write_text(_FILE.format(call=call))
    bag = DagBag(str(dags))
    names = {
        dag_id: {asset.name for asset in dag.get_task("assert_contract").outlets}
        for dag_id, dag in bag.dags.items()
    }
    assert "feature_log.tom_features_v1" in names["feature_store_refresh"]
    assert {"bikes/feature_log.empty_risk_v1", "bikes/bikes.morning_features_clean_mv"} <= names[
        "bike_stations_refresh"
    ]
    assert all(name.startswith("bikes/") for name in names["bike_stations_refresh"])
    task = bag.dags["bike_stations_refresh"].get_task("read.morning_features_clean_mv")
    assert f"{dags.parent}/bikes/sql/read/" in task.doc_md


def _read_layer_in_base(sql: Path) -> str:
    moved = sql / "base/bikes.morning_features_clean_mv.sql"
    (sql / "read/bikes.morning_features_clean_mv.sql").rename(moved)
    return f"{moved} is a base layer but reads the read layer bikes.morning_features_mv."


def _cycle(sql: Path) -> str:
    for one, other in (("a", "b"), ("b", "a")):
        (sql / f"views/bikes.{one}.sql").write_text(
            f"CREATE VIEW bikes.{one} AS SELECT x.n FROM bikes.{other} AS x;"
        )
    return "The SQL files read each other in a cycle: bikes.a → bikes.b → bikes.a."


def _one_name_in_two_schemas(sql: Path) -> str:
    twin = shutil.copy(sql / "base/bikes.empty_days_mv.sql", sql / "base/city.empty_days_mv.sql")
    return f"{twin}: another file defines a relation called empty_days_mv too."


@pytest.mark.parametrize("break_it", [_read_layer_in_base, _cycle, _one_name_in_two_schemas])
def test_refreshes_without_an_order_are_told_by_their_files(errors, store, break_it):
    """Airflow would say that there is a cycle, or that a task was added twice."""
    folder = store("bikes")
    told = break_it(folder / "sql")
    assert told in errors(a=_call(folder, "a"))["a"]
