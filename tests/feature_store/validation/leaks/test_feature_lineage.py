"""What the features are made of: traced in the server's own queries, kept for the latest run."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.database.stored_queries.dependency_closure import Closure
from feature_store.errors import LeaseTaken
from feature_store.operators.verdict_steps import _record_lineage
from feature_store.validation.leaks.feature_lineage import record_lineage, trace_features
from feature_store.validation.leaks.gates import read_gate_context
from tests.feature_store.validation.leaks.variants import (
    EXCEPTIONS,
    RULES,
    SETS,
    make_source_a_view,
)
from tests.relations import E_AI as _E_AI
from tests.relations import E

_LISTINGS = "iPhone.iphone_listings"
_PAID = "sold_median_price_30d"


def _gate_context(connection, store_files):
    return read_gate_context(connection, store_files, SETS, RULES, EXCEPTIONS)


def _traced(connection, store_files):
    """What was traced of each feature, by its name."""
    return {p.feature: p for p in trace_features(_gate_context(connection, store_files))}


def _lease(database, run_id="run"):
    holder = RunKey("feature_store_refresh", run_id)
    return take_lease(database.connection, holder, lambda _: True, timedelta(0))


def _kept(database):
    return database.rows(
        "SELECT run_id, count(*), count(DISTINCT traced_at) "
        "FROM feature_store_audit.feature_lineage GROUP BY run_id ORDER BY run_id"
    )


def test_a_median_is_made_of_prices_and_who_is_asked_decides_on_every_version(store, store_files):
    paid = _traced(store.connection, store_files)[_PAID]
    assert paid.columns[0] == (_E_AI, _PAID)
    assert set(paid.columns) == {
        *((name, _PAID) for name, _ in paid.columns if "enriched" in name),
        ("ml.sold_prices_v1_mv", "sold_price"),
        (_LISTINGS, "sold_price"),
        (_LISTINGS, "real_sold_price"),
    }
    # The day of the sale keeps the future out, and is no part of a price.
    assert ("ml.sold_prices_v1_mv", "sold_day") in paid.decided_by
    assert ("ml.tom_features_v1_mv", "generation") in paid.decided_by
    assert not set(paid.columns) & set(paid.decided_by)
    named = [(paid.columns[read], paid.columns[made]) for read, made in paid.edges]
    assert (("ml.sold_prices_v1_mv", "sold_price"), (E, _PAID)) in named


def test_every_feature_of_every_set_begins_at_a_source_on_every_version(store, store_files):
    # The colours are a list of ours, which reads no source.
    sources = {str(source.name) for source in store_files.sources} | {
        "feature_store.device_color_v1"
    }
    traced = trace_features(_gate_context(store.connection, store_files))
    assert [p.feature for p in traced] == [f.name for s in SETS for f in s.features]
    for feature in traced:
        made_of_something = {made for _, made in feature.edges}
        ends = {c for i, c in enumerate(feature.columns) if i not in made_of_something}
        assert ends, feature.feature
        assert {relation for relation, _ in ends} <= sources, feature.feature


def test_a_way_ends_at_the_source_also_where_that_is_a_view(scratch, store_files):
    """What lies below such a view is not ours."""
    make_source_a_view(scratch, store_files, 'SELECT * FROM "iPhone".raw')
    price = _traced(scratch.connection, store_files)["price"]
    assert (_LISTINGS, "price") in price.columns
    assert "iPhone.raw" not in {relation for relation, _ in price.columns}


def test_a_set_whose_relation_is_gone_is_left_out(scratch, store_files):
    scratch.run(f"DROP MATERIALIZED VIEW {_E_AI} CASCADE")
    assert {
        p.feature_set for p in trace_features(_gate_context(scratch.connection, store_files))
    } == {"iphone_device_meta_encoded_v2_model"}


def test_what_is_as_it_was_is_not_written_again_and_the_latest_is_told(scratch, store_files):
    traced = trace_features(_gate_context(scratch.connection, store_files))
    record_lineage(scratch.connection, _lease(scratch, "first"), traced)
    assert _kept(scratch) == [("first", len(traced), 1)]
    record_lineage(scratch.connection, _lease(scratch, "second"), traced[1:])
    assert _kept(scratch) == [
        ("first", len(SETS[1].features), 1),
        ("second", len(SETS[0].features) - 1, 1),
    ]
    record_lineage(scratch.connection, _lease(scratch, "third"), traced[: len(SETS[0].features)])
    assert _kept(scratch) == [("third", len(SETS[0].features), 1)]


def test_a_run_that_lost_its_turn_records_nothing(store_db, store_files):
    traced = trace_features(_gate_context(store_db.connection, store_files))
    late = _lease(store_db, "late")
    _lease(store_db, "next")
    with pytest.raises(LeaseTaken):
        record_lineage(store_db.connection, late, traced)
    assert _kept(store_db) == []


def test_what_cannot_be_recorded_fails_no_run_and_leaves_its_session_usable(
    scratch, store_files, caplog
):
    context, lease = _gate_context(scratch.connection, store_files), _lease(scratch)
    scratch.run("ALTER TABLE feature_store_audit.lineage_log ADD CHECK (run_id <> 'run')")
    with caplog.at_level(logging.WARNING, "feature_store.operators.verdict_steps"):
        _record_lineage(scratch.connection, lease, context)
    assert "could not be recorded" in caplog.text
    assert _kept(scratch) == []


def test_a_run_that_lost_its_turn_is_not_let_through_for_that(scratch, store_files):
    context, late = _gate_context(scratch.connection, store_files), _lease(scratch, "late")
    _lease(scratch, "next")
    with pytest.raises(LeaseTaken):
        _record_lineage(scratch.connection, late, context)


def test_what_cannot_be_traced_fails_no_run(scratch, store_files, caplog):
    context = _gate_context(scratch.connection, store_files)
    torn = replace(context, closure=Closure(context.closure.roots, {}))
    with caplog.at_level(logging.WARNING, "feature_store.operators.verdict_steps"):
        _record_lineage(scratch.connection, _lease(scratch), torn)
    assert "could not be traced" in caplog.text
    assert _kept(scratch) == []
