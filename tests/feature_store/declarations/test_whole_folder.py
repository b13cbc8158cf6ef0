"""Every file of the store's folder is looked at before any work, by plan, prepare and apply."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feature_store.cli.commands import main
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.errors import BadInput
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.readiness import check_ready
from tests.relations import E as _E

_NOBODY = 65534

# One file of each kind.
KINDS = {
    "sources": "sources.toml",
    "thresholds": "thresholds.toml",
    "suites": "suites.toml",
    "spam": "spam.toml",
    "leak rules": "leak_rules.toml",
    "exceptions": "exceptions.toml",
    "contract": "contracts/tom_features_v1.toml",
    "base": "sql/base/ml.tom_features_v1_mv.sql",
    "read": f"sql/read/{_E}.sql",
    "view": "sql/views/ml.spam_token_v1.sql",
    "witness": "sql/witness/ml.tom_features_v1_enriched_clean_mv.sql",
    "expectation": "sql/expectations/as_of_counts/ai_signals_are_present.sql",
    "specification": "sql/specifications/ml.tom_features_v1_mv.sql",
    "history": f"sql/history/{_E}.sql",
    "store": "store.toml",
}
# The folders that a run cannot do without: one that cannot be listed is not an empty one.
_FOLDERS = [
    "contracts",
    "sql/base",
    "sql/witness",
    "sql/expectations/spam_absence",
    "sql/specifications",
    "sql/specifications",
    "sql/history",
]


def _garbage(path: Path) -> None:
    path.write_text("'so it ends: (((")


def _bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"-- \xff\xfe")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _empty(path: Path) -> None:
    path.write_text("")


def _plan(connection: Any, include: Any) -> object:
    return make_plan(connection, read_store(include.directory), include.directory)


def _prepare(connection: Any, include: Any) -> object:
    return check_ready(connection, read_store(include.directory), include.settings)


def _apply(connection: Any, include: Any) -> object:
    return apply(connection, read_store(include.directory), include.settings)


READERS = (_plan, _prepare, _apply)


def _refused(database: Any, include: Any) -> str:
    """All three refuse in the same words, and alter nothing."""
    before = database.snapshot()
    found = set()
    for reader in READERS:
        with pytest.raises(BadInput) as caught:
            reader(database.connection, include)
        found.add(caught.value.problem)
    assert database.snapshot() == before
    (problem,) = found
    return problem


@pytest.mark.parametrize("break_it", [_garbage, _bytes, _folder, _link, _empty])
@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS)
def test_a_file_that_cannot_be_read_or_parsed_is_named_before_any_work(
    scratch: Any, include: Any, path: str, break_it: Callable[[Path], None]
) -> None:
    if break_it is _empty and path.endswith(".toml"):
        pytest.skip("an empty one can be read; what misses what should be in it is another file")
    break_it(include.directory / path)
    assert _refused(scratch, include).startswith(str(include.directory / path))


@pytest.fixture
def closed(settings: Any) -> Iterator[Callable[[str], None]]:
    """Check a copy of include/ in which one path is closed, as a user who may not open it."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o755)
        include = home / "include"
        shutil.copytree(settings.include_dir, include)

        def check(path: str) -> None:
            (include / path).chmod(0)
            us = os.geteuid()
            try:
                if us == 0:
                    os.seteuid(_NOBODY)
                check_declarations(include, read_store(include))
            finally:
                os.seteuid(us)
                (include / path).chmod(0o755)

        yield check


@pytest.mark.parametrize("path", [*KINDS.values(), *_FOLDERS])
def test_what_may_not_be_read_is_named(closed: Callable[[str], None], path: str) -> None:
    with pytest.raises(BadInput, match=f"{path}.* cannot be read: .*Permission denied"):
        closed(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("sources.toml", "sources.toml cannot be read: "),
        ("thresholds.toml", "thresholds.toml cannot be read: "),
        ("leak_rules.toml", "leak_rules.toml cannot be read: "),
        ("exceptions.toml", "exceptions.toml cannot be read: "),
        ("contracts/tom_features_v1.toml", "there is no feature set called 'tom_features_v1'"),
        (f"sql/read/{_E}.sql", f"{_E}.sql is named after {_E}, which no file defines"),
        (f"sql/history/{_E}.sql", "depends on E, which no file has"),
        ("store.toml", "store.toml cannot be read: "),
    ],
)
def test_a_file_that_is_missing_is_missed(scratch, include, path, words):
    (include.directory / path).unlink()
    assert words in _refused(scratch, include)


@pytest.mark.parametrize(
    "folder", ["sql/specifications", "sql/history", "sql/expectations/spam_absence"]
)
def test_a_folder_that_is_missing_is_not_an_empty_one(scratch, include, folder):
    shutil.rmtree(include.directory / folder)
    assert f"{folder} cannot be read: " in _refused(scratch, include)


_EXPECTATION = KINDS["expectation"]
_EDITS = {
    "a threshold that nothing uses": (
        "thresholds.toml", "least_ai", "a = 1\nleast_ai",
        "thresholds.toml: nothing uses a.",
    ),
    "an infinite threshold": (
        "thresholds.toml", "= 0.01", "= inf",
        "thresholds.toml: least_ai_signal_share: ",
    ),
    "an expectation of no relation": (
        _EXPECTATION, "Relation:    ml.", "Relation:    ml.x_",
        "present.sql: Relation: ml.x_tom_features_v1_enriched_ai_clean_mv is neither",
    ),
    "an expectation of no name": (
        _EXPECTATION, "Relation:    ml.", "Relation:    ml ",
        "ai_signals_are_present.sql: Relation: 'ml tom_features_v1_enriched_ai_clean_mv' is not",
    ),
    "an expectation that is two": (
        _EXPECTATION, "-- Only zeros", "SELECT 1;\n-- Only zeros",
        "ai_signals_are_present.sql must be one statement; it is 2.",
    ),
    "an expectation that is no query": (
        "sql/expectations/spam_absence/every_spam_token_is_known.sql", "SELECT",
        "DELETE FROM ml.x; --", "every_spam_token_is_known.sql must be one",
    ),
    "rows of no relation": (
        "sql/read/ml.tom_features_v1_enriched_speed_mv.sql", "those of ml.", "those of ml.x_",
        "Rows: ml.x_tom_features_v1_enriched_clean_mv is not a relation of the store.",
    ),
    "rows of what is not read": (
        KINDS["read"], "those of ml.tom_features_v1_mv", "those of ml.tom_labels_v1_mv",
        "does not read ml.tom_labels_v1_mv.",
    ),
    "rows of what has no key": (
        KINDS["read"], "those of ml.tom_features_v1_mv", "those of ml.sold_durations_v1_mv",
        "Rows: ml.sold_durations_v1_mv has no key",
    ),
    "rows that are not said in our words": (
        KINDS["read"], "-- Rows:       those of", "-- Rows:       all of",
        "Rows: is 'all of ml.tom_features_v1_mv'; expected 'those of RELATION'",
    ),
    "rows of a plain view": (
        KINDS["view"], "-- Grain:", "-- Rows:       those of ml.tom_features_v1_mv\n-- Grain:",
        "Rows: not for a plain view",
    ),
    "a key that was dropped": (
        "sql/base/ml.ask_daily_median_v1.sql", "-- Key:", "-- Sorted by:",
        "its key is generation, storage_gb, ask_day, which is not a key of ml.ask_daily_median_v1.",
    ),
    "spam that is left out without being looked at": (
        "spam.toml", '"iPhone.iphone_listings"', '"iPhone.iphone_ai_enrich"',
        "leaves out spam but does not read iPhone.iphone_ai_enrich",
    ),
    "a word that cannot be met": ("spam.toml", '"wtb"', '"WTB "', "not 'WTB '."),
    "a word on both sides": ("spam.toml", '"no",', '"wtb",', "not 'wtb'."),
    "no word for spam": ("spam.toml", "tokens = [", "tokens = []\nno_tokens = [] #", "spam.toml"),
    "a check that nobody does": (
        "suites.toml", '["spam"]', "[]",
        "suites.toml: spam must be in the checks of exactly one suite.",
    ),
    "a check that two suites do": (
        "suites.toml", '["spam"]', '["spam", "keys"]', "suites.toml: keys must be in the checks",
    ),
    "a check that is none": (
        "suites.toml", '["spam"]', '["spam", "x"]', "spam_absence, checks, 2: Input should be",
    ),
    "a suite that is no task": (
        "suites.toml", "[spam_absence]", '["spam absence"]', "is called 'spam absence'",
    ),
    "an exception for no feature": (
        "exceptions.toml", '"ask_median_price"', '"ask_price"',
        "exceptions.toml: same-day-ask: tom_features_v1 has no feature ask_price.",
    ),
    "an exception for no set": (
        "exceptions.toml", "tom_features_v1 = [", "tom_v1 = [",
        "exceptions.toml: same-day-ask: there is no feature set called 'tom_v1'.",
    ),
    "an exception that reads nothing": (
        "exceptions.toml", 'reads = "ml.ask', 'reads = "ml.bid',
        "exceptions.toml: same-day-ask: ml.bid_daily_median_v1 is neither",
    ),
    "an outcome of no relation": (
        "leak_rules.toml", 'relation = "ml.tom_labels_v1_mv"', 'relation = "ml.labels"',
        "leak_rules.toml: ml.labels is neither a relation of the store nor a source.",
    ),
    "a reader that is none": (
        "leak_rules.toml", '"ml.tom_train_base_v1_mv" = [', '"ml.train" = [',
        "leak_rules.toml: ml.tom_labels_v1_mv, read_by: ml.train is not a relation of the store.",
    ),
    "a reader of a source that is none": (
        "leak_rules.toml", '"ml.spam_listings_v1" = [', '"ml.spam" = [',
        "leak_rules.toml: iPhone.iphone_listings, read_by: ml.spam is not a relation of the store.",
    ),
    "an adopted reader of a source that is none": (
        "leak_rules.toml", '"ml.tom_features_v1_enriched_clean_mv" = [', '"ml.clean" = [',
        "iPhone.iphone_listings, read_by: ml.clean is not a relation of the store.",
    ),
    "a column of a source that it has not": (
        "leak_rules.toml", '"ml.spam_listings_v1" = ["listing_id"', '"ml.spam_listings_v1" = ["id"',
        "ml.spam_listings_v1: iPhone.iphone_listings has no column id.",
    ),
    "a contract of no relation": (
        "contracts/tom_features_v1.toml", 'relation = "ml.', 'relation = "ml.x_',
        "relation: ml.x_tom_features_v1_enriched_ai_clean_mv is not a relation",
    ),
    "a t0 of a table of the user's": (
        "contracts/tom_features_v1.toml", 't0 = "ml.tom_features_v1_enriched_ai_clean_mv.',
        't0 = "iPhone.iphone_listings.',
        "tom_features_v1.toml: t0: iPhone.iphone_listings is not a materialized view of the store",
    ),
    "a label of a table of the user's": (
        "contracts/tom_features_v1.toml", '"ml.tom_train_base_v1_mv.duration', '"iPhone.x.duration',
        "tom_features_v1.toml: labels: iPhone.x is not a materialized view of the store",
    ),
    "a label of a plain view": (
        "contracts/tom_features_v1.toml", '["ml.tom_train_base_v1_mv.', '["ml.spam_listings_v1.',
        "labels: ml.spam_listings_v1 is not a materialized view of the store",
    ),
    "a label of what may have an entity twice": (
        "contracts/tom_features_v1.toml", '["ml.tom_train_base_v1_mv.', '["ml.ask_daily_median_v1.',
        "labels: ml.ask_daily_median_v1 has no key of listing_id alone",
    ),
    "a history that depends on nothing": (
        KINDS["history"], "A 0;", "Z 0;", "depends on Z, which no file has",
    ),
    "a layer that is there twice": (
        KINDS["history"], "E, the market", "A, the market", "another file has the layer 'A', too",
    ),
    "a window that is none": (
        KINDS["history"], "D1 -14..-1", f"D1 -{'9' * 5000}", " is not a window of days.",
    ),
    "a witness that is two statements": (
        KINDS["witness"], "INSERT", "SELECT 1; INSERT", "_clean_mv.sql must be one statement",
    ),
    "a contract of a schema that is not governed": (
        "contracts/tom_features_v1.toml", 'schema = "ml"', 'schema = "mine"',
        "tom_features_v1.toml: schema: mine is not a governed schema of the store.",
    ),
    "a relation of a schema that is not governed": (
        "store.toml", '"ml", "feature_store"', '"ml"',
        "feature_store is not a governed schema of the store.",
    ),
    "a threshold of the newest day that there is not": (
        "store.toml", '"most_days_without_a_listing"', '"most_days"',
        "store.toml: newest.threshold: most_days is not in thresholds.toml.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "old", "new", "words"), _EDITS.values(), ids=_EDITS)
def test_what_names_nothing_or_is_of_another_form_is_named_before_any_work(
    scratch, include, path, old, new, words
):
    include.edit(path, old, new)
    problem = _refused(scratch, include)
    assert words in problem
    assert len(problem) < 3_000


def test_a_file_of_comments_alone_has_no_statement(scratch, include):
    include.write(_EXPECTATION, "-- Nothing.\n")
    assert _refused(scratch, include).endswith("ai_signals_are_present.sql has no statement.")


@pytest.mark.parametrize(
    ("checks", "way"),
    [
        ("", "no_spam, or delete the suite and this folder."),
        ('"spam"', "no_spam, or give spam to another suite and delete the suite and this folder."),
    ],
)
def test_a_suite_that_finds_nothing_is_refused(scratch, include, checks, way):
    """The database certifies nothing before each suite has told of an expectation."""
    if checks:
        include.edit("suites.toml", f"[{checks}]", "[]")
        for path in (include.directory / "sql").rglob("*.sql"):
            path.write_text(path.read_text().replace(", without spam", ""))
    with (include.directory / "suites.toml").open("a") as suites:
        suites.write(f'\n[no_spam]\ntitle = "None."\nchecks = [{checks}]\n')
    (include.directory / "sql/expectations/no_spam").mkdir()
    with pytest.raises(BadInput) as caught:
        check_declarations(include.directory, read_store(include.directory))
    assert caught.value.next_step.endswith(way)
    assert _refused(scratch, include) == (
        f"{include.directory}/suites.toml: the suite no_spam has no expectation, so no run could "
        "be certified."
    )


def test_a_store_that_has_nothing_to_refresh_is_refused(include):
    views = tuple(r for r in include.store.relations if r.refresh is Refresh.NEVER)
    with pytest.raises(BadInput, match=r"sql has no materialized view, so no run could certify"):
        check_declarations(include.directory, replace(include.store, relations=views))


@pytest.mark.parametrize("folder", ["audit", "governance"])
def test_what_is_the_package_s_own_is_not_a_store_s(scratch, include, folder):
    """An old include folder: it has files of a version before the package had its own."""
    (include.directory / "sql" / folder).mkdir()
    path = include.write(f"sql/{folder}/0001_mine.sql", "SELECT 1;\n")
    assert _refused(scratch, include) == (
        f"{path} is left from an earlier version: the package has its own {folder} now."
    )


def test_an_expectation_called_like_a_proof_is_refused(scratch, include):
    text = (include.directory / _EXPECTATION).read_text()
    include.write("sql/expectations/as_of_counts/ml.tom_speed_anchor_v1_mv.sql", text)
    assert "ml.tom_speed_anchor_v1_mv.sql: another expectation of that suite is called" in _refused(
        scratch, include
    )


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_the_command_line_names_it_and_changes_nothing(
    store_db, include, airflow_conn, monkeypatch, capsys, command
):
    path = include.write("thresholds.toml", "share = \n")
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    airflow_conn(store_db.conninfo)
    before = store_db.snapshot()
    assert main([command]) == 2
    assert capsys.readouterr().err.startswith(f"Error: {path} cannot be read: ")
    assert store_db.snapshot() == before
