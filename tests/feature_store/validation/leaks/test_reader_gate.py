"""The gate of as-of sources: only named relations read one, and only the columns that are named."""

from __future__ import annotations

import pytest

from feature_store.validation.leaks.gate_context import READERS
from tests.feature_store.validation.leaks.variants import (
    LISTINGS,
    make_source_a_view,
    readers,
    remake,
    words,
)
from tests.relations import D1, E_CLEAN, E

_JOIN = "FROM ml.tom_features_v1_mv AS f\nLEFT JOIN market"
_SOURCE = "iPhone.iphone_listings"


def _readers(database, store) -> list[str]:
    return [w.partition(", whose rows")[0] for w in words(readers(database, store), READERS)]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        # A later price of the listing itself: no outcome, but of another day.
        (
            f"(SELECT min(l.price) FROM {LISTINGS} AS l WHERE l.listing_id = f.listing_id)",
            "listing_id, price of ",
        ),
        (f"(SELECT count(*) FROM {LISTINGS} AS l)", ""),
        ("(SELECT max(l.price) FROM later AS l)", "listing_id, price of "),
    ],
    ids=["its later rows", "how many rows there are", "through a view of somebody's"],
)
def test_a_reader_that_is_not_named_is_a_leak(scratch, store_files, value, read):
    scratch.run(f"CREATE VIEW public.later AS SELECT listing_id, price FROM {LISTINGS}")
    value = value.replace("FROM later", "FROM public.later")
    remake(scratch, store_files, E, ("AS ptv_final\n", f"AS ptv_final,\n    {value} AS hint\n"))
    assert _readers(scratch, store_files) == [f"{E}: reads {read}{_SOURCE}"]


def test_a_named_reader_reads_no_other_column(scratch, store_files):
    remake(scratch, store_files, D1, ("l.generation,", "max(l.price) OVER () AS generation,"))
    assert _readers(scratch, store_files) == [f"{D1}: reads price of {_SOURCE}"]


def test_the_whole_row_is_all_columns(scratch, store_files):
    remake(scratch, store_files, D1, ("l.generation,", "length(l::text) AS generation,"))
    (said,) = _readers(scratch, store_files)
    assert said.startswith(f"{D1}: reads battery_pct_fixed_ai, condition_score, ")
    assert "sold_price" not in said, "of outcomes another gate speaks"


def test_a_source_that_is_a_view_has_the_same_readers(scratch, store_files):
    make_source_a_view(scratch, store_files, 'SELECT * FROM "iPhone".raw')
    assert _readers(scratch, store_files) == []


def test_a_line_for_what_apply_adopted_does_not_let_our_own_file_read_the_source(scratch, include):
    """By listing_id alone one could count a listing's later edits."""
    by_hand = (
        f"    NOT EXISTS (SELECT FROM {LISTINGS} AS l WHERE l.spam = e.title)\n    AND NOT EXISTS"
    )
    remake(scratch, include.store, E_CLEAN, ("    NOT EXISTS", by_hand))
    assert _readers(scratch, include.store) == [], "one that somebody built by hand"
    include.edit(f"sql/read/{E_CLEAN}.sql", "    NOT EXISTS", by_hand)
    assert _readers(scratch, include.store) == [f"{E_CLEAN}: reads spam of {_SOURCE}"]
