"""The lineage of one relation, down to relations that keep rows, for tools outside."""

from __future__ import annotations

from feature_store.relation_name import Name
from feature_store.validation.leaks.gates import read_gate_context
from feature_store.validation.leaks.relation_lineage import relation_lineage
from tests.feature_store.validation.leaks.variants import EXCEPTIONS, RULES, SETS
from tests.relations import E_CLEAN as _E_CLEAN
from tests.relations import F3 as _F3
from tests.relations import E as _E


def _lineage(store, store_files, relation):
    context = read_gate_context(store.connection, store_files, SETS, RULES, EXCEPTIONS)
    found = relation_lineage(context, Name.parse(relation))
    return found and {
        "reads": [str(name) for name in found.reads],
        "made_of": {c: [f"{n}.{r}" for n, r in of] for c, of in found.made_of.items()},
        "decided_by": {c: [f"{n}.{r}" for n, r in of] for c, of in found.decided_by.items()},
        "rows": [f"{n}.{r}" for n, r in found.rows],
    }


def test_a_column_is_made_of_values_and_what_looks_them_up_decides(store, store_files):
    e = _lineage(store, store_files, _E)
    assert e["reads"] == [
        "ml.ask_daily_median_v1",
        "ml.sold_durations_v1_mv",
        "ml.sold_prices_v1_mv",
        "ml.tom_features_v1_mv",
    ]
    assert e["made_of"]["price"] == ["ml.tom_features_v1_mv.price"]
    assert e["made_of"]["sold_median_price_30d"] == ["ml.sold_prices_v1_mv.sold_price"]
    assert "ml.sold_prices_v1_mv.sold_day" in e["decided_by"]["sold_median_price_30d"]
    assert e["decided_by"]["price"] == []


def test_nobody_refreshes_a_plain_view_so_what_is_below_it_is_read(store, store_files):
    clean = _lineage(store, store_files, _E_CLEAN)
    views = {str(r.name) for r in store_files.relations if r not in store_files.refreshed}
    assert clean["reads"] == ["iPhone.iphone_listings", _E]
    assert not views & {*clean["reads"]}
    assert "iPhone.iphone_listings.spam" in clean["rows"], "who is left out"


def test_a_feature_set_that_is_a_view_stands_on_kept_rows(store, store_files):
    f3 = _lineage(store, store_files, _F3)
    assert f3["made_of"]["gmc_seg_n"] == ["feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_n"]
    assert _F3 not in f3["reads"]


def test_of_what_is_not_there_there_is_none(store, store_files):
    assert _lineage(store, store_files, "ml.nothing") is None
