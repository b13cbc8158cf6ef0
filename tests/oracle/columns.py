"""The names, order and types of every relation's columns, as the authors' documents set them."""

from tests.oracle.device import KNOWN_COLORS, VARIANTS

Columns = tuple[tuple[str, str], ...]


def _typed(column_type: str, *names: str) -> Columns:
    return tuple((name, column_type) for name in names)


_INSTANT = "timestamp with time zone"
_COHORT: Columns = (("generation", "integer"), ("storage_gb", "integer"))

SNAPSHOT: Columns = (
    ("listing_id", "bigint"),
    ("edited_date", _INSTANT),
    ("generation", "integer"),
    ("model", "text"),
    *_typed("integer", "storage_gb", "price"),
    ("condition_score", "numeric(4,3)"),
    *_typed("integer", "battery_pct_fixed_ai", "damage_severity_ai", "damage_binary_ai"),
    ("seller_rating", "numeric(4,2)"),
    *_typed("integer", "review_count", "member_since_year"),
    *_typed("text", "location_city", "postal_code", "title", "description"),
    *_typed("integer", "title_length", "description_length"),
)
_OUTCOME: Columns = (("sold_event", "boolean"), ("duration_hours", "numeric"))
LABEL: Columns = (
    ("listing_id", "bigint"),
    *_typed(_INSTANT, "edited_date", "sold_date", "last_seen"),
    *_OUTCOME,
)
TRAINING: Columns = (*SNAPSHOT, *_OUTCOME)
SOLD_DURATION: Columns = (
    ("listing_id", "bigint"),
    *_COHORT,
    ("sold_day", "date"),
    ("duration_hours", "numeric"),
)
ASK_MEDIAN: Columns = (
    *_COHORT,
    ("ask_day", "date"),
    ("ask_median_price", "double precision"),
    ("ask_cnt", "bigint"),
)
SOLD_PRICE: Columns = (*_COHORT, ("sold_day", "date"), ("sold_price", "integer"))
ENRICHED: Columns = (
    *SNAPSHOT,
    ("anchor_median_hours_14d", "double precision"),
    ("anchor_14d_n", "bigint"),
    ("ask_median_price", "double precision"),
    ("ask_cnt", "bigint"),
    ("sold_median_price_30d", "double precision"),
    ("sold_cnt_30d", "bigint"),
    *_typed(
        "double precision",
        "ptv_sold_30d",
        "ptv_ask_day",
        "delta_vs_sold_median_30d",
        "delta_vs_ask_median_day",
        "ptv_final",
    ),
)
SPEED_ANCHOR: Columns = (
    ("anchor_day", "date"),
    *_typed("integer", "generation", "sbucket", "ptv_bucket"),
    *_typed(
        "double precision",
        "sum_w",
        "speed_fast7_anchor",
        "speed_fast24_anchor",
        "speed_slow21_anchor",
        "speed_median_hours_ptv",
        "speed_n_eff_ptv",
    ),
    *_typed("date", "min_sold_day_used", "max_sold_day_used"),
)
WITH_SPEED: Columns = (
    *ENRICHED,
    *_typed(
        "double precision",
        "speed_fast7_anchor",
        "speed_fast24_anchor",
        "speed_slow21_anchor",
        "speed_median_hours_ptv",
        "speed_n_eff_ptv",
    ),
)
WITH_AI: Columns = (
    *WITH_SPEED,
    *_typed(
        "integer",
        "ai_sale_mode_obo",
        "ai_sale_mode_firm",
        "ai_sale_mode_bids",
        "ai_sale_mode_unspecified",
        "ai_owner_private",
        "ai_owner_work",
        "ai_owner_unknown",
        "ai_ship_can",
        "ai_ship_pickup",
        "ai_ship_unspecified",
        "ai_rep_apple",
        "ai_rep_authorized",
        "ai_rep_independent",
        "ai_rep_unknown",
        "ai_can_ship_bin",
        "ai_pickup_only_bin",
        "ai_vat_invoice_bin",
        "ai_first_owner_bin",
        "ai_used_with_case_bin",
    ),
    *_typed(
        "double precision",
        "ai_negotiability_f",
        "ai_urgency_f",
        "ai_lqs_textonly_f",
        "ai_opening_offer_nok_f",
        "ai_opening_offer_ratio",
    ),
    ("ai_storage_gb_fixed", "integer"),
)
DEVICE_LISTING: Columns = (
    ("generation", "integer"),
    ("listing_id", "bigint"),
    ("edited_date", _INSTANT),
    ("model", "text"),
)
DEVICE_META: Columns = (
    ("generation", "integer"),
    ("listing_id", "bigint"),
    ("t0", _INSTANT),
    ("t0_day", "date"),
    ("gen_key", "integer"),
    *_typed("text", "model_variant", "color_bucket"),
    *_typed(
        "integer",
        "image_count",
        "dev_has_images",
        "dev_color_is_missing",
        "dev_color_known",
        "dev_color_conflict",
        "dev_n_color_votes",
    ),
    *_typed("double precision", "dev_color_vote_share", "dev_color_vote_margin"),
    *_typed(
        "integer",
        "dev_model_fixed_any",
        "dev_model_generation_mismatch",
        "dev_is_spam_below13",
    ),
)
_STATISTICS: Columns = (
    ("gmc_seg_n", "integer"),
    ("gmc_seg_share", "double precision"),
    ("gmc_color_n_in_seg", "integer"),
    *_typed("double precision", "gmc_color_share_in_seg", "gmc_color_rarity_score"),
    ("gmc_color_n_global", "integer"),
    *_typed("double precision", "gmc_color_share_global", "gmc_color_rarity_global"),
    *_typed("integer", "gmc_color_rank_in_seg", "gmc_seg_n_distinct_colors"),
    *_typed(
        "double precision",
        "gmc_seg_color_entropy",
        "gmc_seg_top_color_share",
        "gmc_seg_missing_color_share",
    ),
)
SEGMENT_STATS: Columns = (
    ("t0_day", "date"),
    ("gen_key", "integer"),
    *_typed("text", "model_variant", "color_bucket"),
    *_STATISTICS,
)
ENCODED: Columns = (
    ("generation", "integer"),
    ("listing_id", "bigint"),
    *_typed("integer", *(f"dev_gen_{name}" for name in (13, 14, 15, 16, 17, "other"))),
    *_typed("integer", *(f"dev_var_{name}" for name in VARIANTS)),
    *_typed("integer", *(f"dev_color_{name}" for name in (*KNOWN_COLORS, "missing", "other"))),
    ("dev_image_count", "integer"),
    *DEVICE_META[8:],
    *_STATISTICS,
)
