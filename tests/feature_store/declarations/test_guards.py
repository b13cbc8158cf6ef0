"""Guards: their files, and what each of them guards."""

from __future__ import annotations

from datetime import date

import pytest

from feature_store.declarations.store_definition import read_store
from feature_store.errors import BadInput
from tests.relations import F2 as _F2

_DAY = date(2026, 3, 1)
_LISTING = {"listing_id": 7, "generation": 15, "storage_gb": 128, "edited_date": "2026-03-01"}
_IMAGES = "feature_store.device_image_features_unified_v1"
_AI = '"iPhone".iphone_ai_enrich'


def test_a_guard_of_nothing_is_refused(include):
    path = include.write("sql/guards/ml.spam_token_v1.sql", "-- Guard: x\n-- Mend: x\nSELECT 1;\n")
    with pytest.raises(BadInput, match="neither a source nor a refreshed relation") as caught:
        read_store(include.directory)
    assert str(path) in caught.value.problem


def test_a_guard_without_words_is_refused(include):
    include.write("sql/guards/iPhone.iphone_listings.sql", "-- Guard: x\nSELECT 1;\n")
    with pytest.raises(BadInput, match="must begin with the comment lines Guard, Mend"):
        read_store(include.directory)


def test_a_guard_that_asks_for_an_unknown_number_is_refused(include):
    include.write(
        f"sql/guards/{_F2}.sql", "-- Guard: x\n-- Mend: x\nSELECT 1 WHERE 2 > :most_odd;\n"
    )
    with pytest.raises(BadInput, match=":most_odd is not a threshold"):
        read_store(include.directory)


def test_a_source_is_guarded_in_every_refresh_that_reads_it_even_through_a_view(store_files):
    guarded = {str(r.name): [str(g.name) for g in r.guards] for r in store_files.refreshed}
    assert guarded["ml.sold_durations_v1_mv"] == ["iPhone.iphone_listings"]
    assert guarded["feature_store.device_count_day_v1_mv"] == [_IMAGES]
    assert guarded["ml.tom_features_v1_enriched_mv"] == []
    assert guarded[_F2] == [_F2]
