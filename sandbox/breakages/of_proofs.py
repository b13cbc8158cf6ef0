"""Breakages of what the proofs check: counts, medians, the embargo, the run's own refreshes."""

from __future__ import annotations

from feature_store.connection import one_value
from sandbox.breakages.breakage import DEVICES, GATE, Breakage, Expected, Scene
from sandbox.breakages.harm import edit, into_view, together
from sandbox.data import sample_data
from sandbox.sample.options import SampleOptions

E = "ml.tom_features_v1_enriched_mv"
D1 = "ml.sold_durations_v1_mv"
D4 = "ml.tom_speed_anchor_v1_mv"
F2 = "feature_store.device_meta_gmc_stats_t0_v1_mv"
_AS_OF = "expectations.as_of_counts"
_LARGE = 100_000
_WIDE = sample_data(DEVICES.include_dir, SampleOptions(listings=400, days=300))


def _require_many_rows(scene: Scene) -> None:
    rows = one_value(scene.connection, f"SELECT count(*) FROM {F2}".encode())
    if rows < _LARGE:
        raise RuntimeError(f"{F2} has {rows} rows; this breakage is about one of {_LARGE:,}.")


OF_PROOFS = (
    Breakage(
        "count-off-by-one",
        "one count of F2 is off by one, in one row of more than 100,000",
        Expected(
            failed=(GATE, _AS_OF),
            broken=(f"as_of_counts/{F2}",),
            subject=f"as_of_counts broken, 1 row of {F2} (every day with…",
        ),
        during=together(
            _require_many_rows,
            into_view(
                F2,
                f"UPDATE {F2} SET gmc_color_n_global = gmc_color_n_global + 1 WHERE ctid = "
                f"(SELECT ctid FROM {F2} WHERE gmc_color_n_global > 0 "
                "ORDER BY t0_day, gen_key, model_variant, color_bucket OFFSET 999 LIMIT 1)",
            ),
        ),
        data=_WIDE,
        rebuilt=True,
    ),
    Breakage(
        "median-off",
        "one median of E is off in the last digit",
        Expected(
            failed=(GATE, _AS_OF),
            broken=(f"as_of_counts/{E}",),
            subject=f"as_of_counts broken, 1 row of {E} (A's listings, all columns…",
        ),
        during=into_view(
            E,
            f"UPDATE {E} SET sold_median_price_30d = sold_median_price_30d + 1e-9 WHERE listing_id "
            f"= (SELECT min(listing_id) FROM {E} WHERE sold_median_price_30d IS NOT NULL)",
        ),
    ),
    Breakage(
        "own-day-in-an-anchor",
        "E's SQL counts sales of the listing's own day: the embargo is broken by one day",
        Expected(
            failed=(GATE, _AS_OF),
            broken=(f"as_of_counts/{E}",),
            subject=f"as_of_counts broken, 113 rows of {E} (A's listings, all columns…",
        ),
        edit=edit(
            f"sql/read/{E}.sql",
            "width_bucket(c.t0_day - 1, sold.days)",
            "width_bucket(c.t0_day, sold.days)",
        ),
        rebuilt=True,
    ),
    Breakage(
        "own-day-in-a-speed-anchor",
        "D4's SQL counts sales of the anchor's own day: the embargo is broken by one day",
        Expected(
            failed=(GATE, _AS_OF),
            broken=(f"as_of_counts/{D4}",),
            subject=f"as_of_counts broken, 38 rows of {D4} (for each t0 day of E…",
            mail_says=("max_sold_day_used", "2026-06-22, not 2026-06-17"),
        ),
        edit=edit(
            f"sql/read/{D4}.sql",
            "width_bucket(d.anchor_day - 1, s.days)",
            "width_bucket(d.anchor_day, s.days)",
        ),
        rebuilt=True,
    ),
    Breakage(
        "layer-not-refreshed",
        "a layer's task was marked successful and did no work",
        Expected(
            failed=(GATE, _AS_OF),
            broken=("as_of_counts/every_layer_was_refreshed_by_this_run",),
            subject=f"as_of_counts broken: {D1} (every materialized view was refreshed by this...",
            mail_says=(D1, "Nothing is known to be wrong with its rows."),
        ),
        marked=r"base\.sold_durations_v1_mv",
    ),
)
