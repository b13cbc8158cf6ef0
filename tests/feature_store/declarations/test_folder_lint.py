"""The linter of a store's folder: all that is wrong in one list, without a database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from feature_store.cli.commands import main
from feature_store.declarations.folder_lint import folder_problems
from feature_store.settings import Settings
from tests.relations import D1 as _D1
from tests.relations import D2 as _D2
from tests.relations import D3 as _D3
from tests.relations import E_AI as _E_AI
from tests.relations import E as _E

_TWO = """\
-- Relation:   ml.{0}
-- Grain:      one
-- As-of:      none
-- Never sees: anything
-- Refresh:    none
CREATE VIEW ml.{0} AS
SELECT x.a FROM ml.{1} AS x;
"""


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(Settings().include_dir, tmp_path / "include")


def _edit(folder, path, old, new):
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new, 1))


def _break(folder):
    """Make one fault of each kind; returns what must be told of each."""
    (folder / "store.toml").write_text('name = "My Store"\n')
    _edit(folder, "thresholds.toml", "most_skew = 0.5", "most_skew = 'half'")
    _edit(folder, "suites.toml", '["spam"]', "[]")
    _edit(folder, "sources.toml", 'sold_price = "int"\n', "")
    _edit(folder, f"sql/base/{_D1}.sql", "-- Grain:", "-- Gran:")
    _edit(folder, f"sql/read/{_E}.sql", f"-- Relation:   {_E}", f"-- Relation:   {_E}_old")
    _edit(folder, f"sql/read/{_E_AI}.sql", "-- Refresh:    concurrent", "-- Refresh:    blocking")
    _edit(folder, f"sql/base/{_D2}.sql", '"iPhone".iphone_listings', "ml.nowhere")
    _edit(folder, f"sql/specifications/{_D3}.sql", "AS sold_price", "AS paid")
    (folder / f"sql/specifications/{_D1}.sql").unlink()
    (folder / "sql/views/ml.one.sql").write_text(_TWO.format("one", "other"))
    (folder / "sql/views/ml.other.sql").write_text(_TWO.format("other", "one"))
    (folder / "sql/views/ml.my view.sql").write_text("SELECT 1;")
    _edit(folder, "contracts/tom_features_v1.toml", 'name = "model"', 'name = "modell"')
    return [
        "store.toml: name: expected lower-case letters",
        "thresholds.toml: most_skew: ",
        "suites.toml: spam must be in the checks",
        f"{_D3}.sql reads iPhone.iphone_listings.sold_price, but iPhone.iphone_listings has no "
        "column sold_price in sources.toml.",
        f"{_D1}.sql must begin with the comment lines Relation, Grain,",
        f"{_E}.sql: Relation: is '{_E}_old (E), ",
        f"{_E_AI}.sql: Refresh: is 'blocking. Created empty;",
        f"{_D2}.sql reads ml.nowhere, which is neither a relation of the store nor a source.",
        f"{_D3}.sql lacks sold_price, which {_D3} has.",
        f"{_D1}.sql: {_D1} has no specification",
        "The SQL files read each other in a cycle: ml.one → ml.other → ml.one.",
        "ml.my view.sql is not the file of a relation: 'ml.my view' is not the name of a relation",
        "tom_features_v1.toml names modell, but ml.tom_features_v1_enriched_ai_clean_mv has no",
    ]


def test_of_the_shipped_folder_nothing_is_wrong(capsys, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", "nowhere://")  # the check must not connect
    assert main(["check"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("include: nothing is wrong, as far as can be checked without a database.")


def test_all_that_is_wrong_is_told_at_once(folder, capsys):
    kinds = _break(folder)
    assert main(["check", str(folder)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{folder}: ")
    assert [words for words in kinds if words not in told] == []
    assert "Traceback" not in told


def test_what_holds_files_together_is_told_once_each_can_be_read(folder):
    _edit(folder, "exceptions.toml", '"ask_median_price"', '"ask_price"')
    _edit(folder, "leak_rules.toml", '"ml.tom_train_base_v1_mv" = [', '"ml.train" = [')
    _edit(folder, "contracts/tom_features_v1.toml", 'schema = "ml"', 'schema = "mine"')
    told = folder_problems(folder)
    assert len(told) == 3
    for words in (
        "has no feature ask_price",
        "ml.train is not a relation",
        "mine is not a governed",
    ):
        assert any(words in problem for problem in told)


def test_a_folder_that_is_not_there_is_told_too(tmp_path):
    assert any("store.toml cannot be read" in told for told in folder_problems(tmp_path / "none"))


_BIKES = Path(__file__).resolve().parents[3] / "examples" / "bike_stations"


@pytest.mark.parametrize(
    "gone",
    [
        "store.toml", "sources.toml", "suites.toml", "thresholds.toml", "leak_rules.toml",
        "exceptions.toml", "contracts", "sql/base", "sql/specifications", "sql/history",
        "sql/expectations/keys",
    ],
)  # fmt: skip
def test_what_a_folder_cannot_do_without_is_named_where_it_is_missing(tmp_path, gone):
    """As docs/your-own-store.md lists it."""
    folder = shutil.copytree(_BIKES, tmp_path / "bikes")
    path = folder / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert folder_problems(folder)


def test_what_a_folder_may_do_without_is_not_missed(tmp_path):
    folder = shutil.copytree(_BIKES, tmp_path / "bikes")
    shutil.rmtree(folder / "sql/witness")
    assert folder_problems(folder) == []
