"""The examples of docs/training.md, run as they stand there, on a store that was certified."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel, sql

from feature_store.client import NotCertified
from feature_store.database.session import pin
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import read_store
from feature_store.schema.apply import apply
from feature_store.validation.leaks.gates import check_gates
from sandbox.load import load_sample
from sandbox.roles import as_role
from sandbox.sample.options import SampleOptions
from sandbox.server import run_psql
from tests.conftest import create_store
from tests.feature_store.refresh.certified import certify_store, refresh_all
from tests.relations import E_AI as _E_AI

from .pages import changed

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()


def _example(name: str) -> str:
    (code,) = re.findall(rf"<!-- example: {name} -->\n```python\n(.*?)```", _PAGE, re.DOTALL)
    return code


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for example in ("client", "split", "model"):
        exec(_example(example), names)
    return names


@pytest.fixture(scope="module")
def rows(page, certified):
    return page["training_set_of_before"](certified)


def test_the_example_reads_both_sets_as_served_and_as_history_tells(rows, page, certified):
    assert len(rows) > 200
    assert list(rows.columns[-2:]) == ["sold_event", "duration_hours"]
    assert {"ptv_final", "gmc_seg_n"} < {*rows.columns}
    assert page["training_set"](certified).empty, "all of it was there before the log began"


def test_the_example_reads_single_listings_without_labels(rows, page, certified):
    some = [int(listing) for listing in rows.index[:2]]
    found = page["for_inference"](certified, some)
    assert sorted(found.index) == sorted(some)
    assert list(found.columns) == list(rows.columns[:-2])


def test_a_colleague_reads_what_the_reader_reads_and_nothing_is_left_open(
    page, certified, server, tmp_path
):
    (lines,) = re.findall(r"^```psql\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)
    typed = tmp_path / "ann.sql"
    typed.write_text(lines.replace("\\password ann\n", ""))  # asks a person
    run_psql(certified, typed, ON_ERROR_STOP="on")
    try:
        hers = as_role(certified, "ann")
        assert len(page["training_set_of_before"](hers)) > 200
        with psycopg.connect(hers) as connection:
            patience = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
            assert patience == ("1h",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT FROM ml.tom_features_v1_mv")
    finally:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("DROP ROLE ann")


def test_training_labels_know_nothing_from_after_the_gap(rows, page):
    import pandas as pd

    day = rows["t0"].quantile(0.7).strftime("%Y-%m-%d")
    train, validation = page["split"](rows, day, gap_days=3)
    start = pd.Timestamp(day, tz="UTC")
    known_until = start - pd.Timedelta(days=3)
    ends = train["t0"] + pd.to_timedelta(train["duration_hours"], unit="h")
    assert len(train) > 50
    assert len(validation) > 20
    assert (ends <= known_until + pd.Timedelta(seconds=1)).all()
    assert validation["t0"].min() >= start
    cut = rows.loc[train.index, "sold_event"] & ~train["sold_event"]
    assert cut.any(), "no sale came after the split, so the test shows nothing"


def test_on_the_sample_the_pages_model_beats_its_baseline(page, server, settings, store_files):
    conninfo = server.create_database("market", "sources_only")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        load_sample(connection, SampleOptions(listings=3_000, days=150))
    create_store(conninfo, store_files, settings)
    certify_store(conninfo, settings, store_files)
    rows = page["training_set_of_before"](conninfo)
    server.drop_database("market")

    train, validation = page["split"](rows, "2026-05-16")
    (train, sold), (validation, outcome) = map(page["sold_soon"], (train, validation))
    model, baseline = (
        page["auc"](outcome, page[name](train, sold)(validation)) for name in ("fit", "baseline")
    )
    # The page tells the margin of a larger sample. Here it only must be there, with some slack.
    assert model > max(0.62, baseline + 0.05)

    clocks = re.findall(r"`(gmc_\w+)`", _PAGE.partition("tell the date")[2].partition("count")[0])
    assert len(clocks) == 4
    for clock in clocks:
        assert rows[clock].corr(rows["t0"].astype("int64")) > 0.3, clock


def test_a_snapshot_alone_does_not_protect_from_a_blocking_refresh(server, certified, page):
    """As the page says: the reader sees the new rows, and require_certified finds the new file."""
    conninfo = server.create_database("swapped", "scrapes")
    with psycopg.connect(conninfo) as reader, psycopg.connect(conninfo, autocommit=True) as other:
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        other.execute('DELETE FROM "iPhone".iphone_listings')
        other.execute("REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv")
        assert reader.execute("SELECT count(*) FROM ml.tom_features_v1_mv").fetchone() == (0,)
        with pytest.raises(psycopg.errors.RaiseException, match="rewritten since it was certified"):
            reader.execute("SELECT ml.require_certified('tom_features_v1', '30 hours')")
        reader.rollback()
    with pytest.raises(NotCertified, match="NOT CERTIFIED"):
        page["for_inference"](conninfo, [1])
    server.drop_database("swapped")


def test_the_time_guard_of_the_page_holds_and_its_witness_agrees(
    server, settings, tmp_path, sources_database
):
    shutil.copytree(settings.include_dir, tmp_path / "include")
    edits = re.findall(r"`include/(sql/\S+\.sql)`:\n\n```diff\n(.*?)```", _PAGE, re.DOTALL)
    assert len(edits) == 3
    for path, diff in edits:
        file = tmp_path / "include" / path
        file.write_text(changed(file.read_text(), diff))
    edited = replace(settings, include_dir=tmp_path / "include")
    store = read_store(edited.include_dir)
    with psycopg.connect(sources_database, autocommit=True) as connection:
        pin(connection, edited, "tests")
        apply(connection, store, edited)
        load_sample(connection, SampleOptions(listings=300, days=20))
        refresh_all(connection, store)
        (broken,) = connection.execute(
            "SELECT sum(broken) FROM feature_store_audit.proof_log WHERE proof = %s", (_E_AI,)
        ).fetchone()
        facts = dict(connection.execute("SELECT fact, n FROM feature_store_audit.fact").fetchall())
        later = sql.SQL(
            'SELECT count(*) FROM {} AS e INNER JOIN "iPhone".iphone_ai_enrich AS u '
            "ON e.listing_id = u.listing_id WHERE u.updated_at > e.edited_date "
            "AND (e.ai_sale_mode_obo + e.ai_rep_apple + e.ai_can_ship_bin > 0)"
        ).format(sql.Identifier(*_E_AI.split(".")))
        assert connection.execute(later).fetchone() == (0,)
        findings = check_gates(
            connection,
            store,
            read_feature_sets(edited.include_dir),
            read_rules(edited.include_dir),
            read_exceptions(edited.include_dir),
        )
    assert broken == 0
    assert facts["AI rows written after t0"] > 0
    assert facts["rows out of parity with the AI table"] == 0
    assert [f for f in findings if f.severity == "failure"] == []
