"""The inventory of proofs: it shows each way to switch a proof off, and ignores other edits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feature_store.declarations.proof_inventory import changes, read_inventory
from tests.feature_store.conftest import Include
from tests.relations import E_CLEAN as _E_CLEAN
from tests.relations import E as _E

_A = "sql/specifications/ml.tom_features_v1_mv.sql"
_AI_ROWS = "sql/expectations/uniqueness/one_ai_row_per_listing.sql"
_DEVICES = "sql/expectations/uniqueness/every_device_is_counted_once.sql"
_WITNESS = f"sql/witness/{_E_CLEAN}.sql"
_GUARD = "sql/guards/iPhone.iphone_listings.sql"
_HISTORY = f"sql/history/{_E}.sql"


@pytest.fixture
def changed(include: Include):
    """How the inventory differs after an edit of the files."""
    before = read_inventory(include.directory, include.store)

    def since_then() -> dict[str, str]:
        return changes(before, read_inventory(include.directory, include.store))

    return since_then


_EDITS = {
    "a condition of a specification": (_A, "WHERE e.spam IS NULL", "WHERE TRUE", "has changed"),
    "a key": (_A, "-- Key:           listing_id", "-- Key:           none", "has changed"),
    "a severity": (_AI_ROWS, "critical", "warning", "was critical, is warning"),
    "an observation": (_WITNESS, "t.token IS NULL", "FALSE", "has changed"),
    "a guard": (_GUARD, "'9999-12-30'", "'9999-12-29'", "has changed"),
}  # fmt: skip


@pytest.mark.parametrize("edit", _EDITS)
def test_a_proof_that_is_edited_is_named_with_how_it_differs(include, changed, edit):
    path, before, after, how = _EDITS[edit]
    include.edit(path, before, after)
    assert changed() == {path: how}


_ANCHOR = "sql/specifications/ml.tom_speed_anchor_v1_mv.sql"


def test_another_tolerance_is_told(include, changed):
    include.edit(_ANCHOR, "within 1e-12", "within 1e-7")
    how = changed()[_ANCHOR]
    assert how.startswith("has changed; its tolerance was ")
    assert "within 1e-12, is " in how
    assert how.endswith("within 1e-7")


def test_a_stamp_that_does_not_know_the_tolerance_yet_still_holds(include):
    now = read_inventory(include.directory, include.store)
    before = [replace(p, says="") if p.file.startswith("sql/specifications/") else p for p in now]
    assert [p.file for p in now if p.file == _ANCHOR and "1e-12" in p.says] == [_ANCHOR]
    assert changes(before, now) == {}


@pytest.mark.parametrize("path", [_AI_ROWS, _A])
def test_where_false_is_seen(include, changed, path):
    text = (include.directory / path).read_text().rstrip().removesuffix(";")
    head, statement = text[: text.index("\nSELECT")], text[text.index("\nSELECT") :]
    include.write(path, f"{head}\nSELECT * FROM ({statement}) AS none WHERE FALSE;\n")
    assert changed() == {path: "has changed"}


@pytest.mark.parametrize("path", [_AI_ROWS, _WITNESS, _GUARD, _HISTORY])
def test_a_proof_that_is_gone_is_named(include, changed, path):
    (include.directory / path).unlink()
    assert changed() == {path: "is gone"}


def test_a_join_that_finds_less_is_seen(include, changed):
    include.edit(_DEVICES, "FULL", "LEFT")
    assert changed() == {_DEVICES: "has changed"}


def test_numbers_and_what_is_declared_are_told_apart(include, changed):
    include.edit("thresholds.toml", "most_rows_lost = 0.4", "most_rows_lost = 1.0")
    include.edit("exceptions.toml", '"ask_cnt", ', "")
    include.edit("leak_rules.toml", '"ml.sold_prices_v1_mv" = ["sold_day"]', "")
    include.edit("sources.toml", 'spam = "text"\n', "")
    assert changed() == {
        "exceptions.toml, exception same-day-ask": "has changed",
        "leak_rules.toml, outcome iPhone.iphone_listings (sold_date)": "has changed",
        "sources.toml, iPhone.iphone_listings": "has changed",
        "thresholds.toml, most_rows_lost": "was 0.4, is 1.0",
    }


def test_what_a_spam_token_means_is_part_of_it(include, changed):
    include.edit("spam.toml", '"junk", ', "")
    assert changed() == {"spam.toml, tokens": "has changed"}


def test_a_key_that_is_given_up_is_named_by_the_relation_s_file(include, changed):
    path = "sql/base/ml.tom_labels_v1_mv.sql"
    include.edit(path, "CREATE UNIQUE INDEX", "CREATE INDEX")
    assert changed() == {f"{path}, uniqueness: key_tlabels_v1_listing_uq": "is gone"}


def test_a_contract_that_is_gone_is_named(include, changed):
    (include.directory / "contracts" / "tom_features_v1.toml").unlink()
    assert changed() == {"contracts/tom_features_v1.toml": "is gone"}


def test_comments_line_breaks_and_queries_of_relations_are_no_change(include, changed):
    for path in (_A, _AI_ROWS, _WITNESS, _GUARD, "thresholds.toml", "leak_rules.toml"):
        mark = "#" if path.endswith("toml") else "--"
        text = (include.directory / path).read_text()
        include.write(path, f"{text}\n\n{mark} a word to whoever reads this\n")
    include.edit(f"sql/read/{_E}.sql", "AS ptv_final\n", "AS ptv_final\n-- of the two\n")
    assert changed() == {}
