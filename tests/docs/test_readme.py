"""The numbers and names that README.md and docs/training.md tell are the store's own."""

from __future__ import annotations

import re

import pytest

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Store
from sandbox.breakages.__main__ import main as breakages
from sandbox.breakages.catalogue import BREAKAGES
from tests.conftest import ROOT
from tests.relations import E_AI, F3

README = (ROOT / "README.md").read_text()
TRAINING = (ROOT / "docs" / "training.md").read_text()
_WORDS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_FEATURES = {
    str(s.relation): [f.name for f in s.features] for s in read_feature_sets(ROOT / "include")
}


@pytest.mark.parametrize("relation", [E_AI, F3])
def test_a_set_has_as_many_features_as_the_first_page_says(relation):
    assert f"`{relation}`, {len(_FEATURES[relation])} features" in README


def test_there_are_as_many_ai_columns_as_both_pages_say():
    said = re.findall(r"(\d+) `ai_` columns", README + TRAINING)
    assert len(said) == 2
    assert set(said) == {str(sum(name.startswith("ai_") for name in _FEATURES[E_AI]))}


def test_base_refreshes_as_many_views_as_the_first_page_says(store_files: Store):
    n = sum(r.refresh is Refresh.BLOCKING for r in store_files.refreshed)
    assert f"`base` refreshes {_WORDS[n]} materialized views" in README


def test_there_are_as_many_breakages_as_the_first_page_says_and_the_help_names_each(capsys):
    assert f"on purpose, {len(BREAKAGES)} ways" in README
    names = [breakage.name for breakage in BREAKAGES]
    (shown,) = re.findall(r"make breakages NAMES=([\w-]+) ", README)
    assert shown in names
    with pytest.raises(SystemExit) as ended:
        breakages(["--help"])
    assert ended.value.code == 0
    listed = re.findall(r"^  ([\w-]+)  +\S", capsys.readouterr().out, re.MULTILINE)
    assert listed[-len(names) :] == names


def test_the_table_of_exceptions_names_the_features_that_each_reaches():
    exceptions = read_exceptions(ROOT / "include")
    assert f"{_WORDS[len(exceptions)].capitalize()} declared exceptions (`include" in TRAINING
    (table,) = re.findall(r"\| Exception .*\n\|[-|]+\n((?:\|.*\n)+)", TRAINING)
    rows = [line.split(" | ")[:2] for line in table.splitlines()]
    for declared, (title, taints) in zip(exceptions, rows, strict=True):
        reached = {name for names in declared.taints.values() for name in names}
        named = re.findall(r"`(\w+)`", taints)
        if taints.startswith("most of"):
            assert 2 * len(reached) > len(_FEATURES[F3]), title
        elif named[0].endswith("_"):
            assert reached == {n for f in _FEATURES.values() for n in f if n.startswith(named[0])}
        else:
            assert reached == set(named), title
