"""CONTRIBUTING.md: its examples, put where it says, make a relation that is proven."""

from __future__ import annotations

import re

import pytest

from feature_store.cli.commands import main
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.proof.proving import compare_stored
from feature_store.schema.apply import apply
from tests.conftest import ROOT

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


@pytest.mark.parametrize("word", re.findall(r"`((?:make|bin/feature-store) [a-z-]+)", PAGE))
def test_its_commands_exist(word):
    program, name = word.split()
    if program == "make":
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.M)
    else:
        with pytest.raises(SystemExit) as said:
            main([name, "--help"])
        assert said.value.code == 0
