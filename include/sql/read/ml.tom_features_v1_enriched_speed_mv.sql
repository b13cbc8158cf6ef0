-- Relation:   ml.tom_features_v1_enriched_speed_mv (E-speed), E-clean with speed anchors
-- Grain:      one row per listing_id
-- Rows:       those of ml.tom_features_v1_enriched_clean_mv
-- As-of:      edited_date (t0)
-- Never sees: a sale of the listing's own day or later, a flagged listing
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_features_v1_enriched_speed_mv AS
SELECT
    e.listing_id,
    e.edited_date,
    e.generation,
    e.model,
    e.storage_gb,
    e.price,
    e.condition_score,
    e.battery_pct_fixed_ai,
    e.damage_severity_ai,
    e.damage_binary_ai,
    e.seller_rating,
    e.review_count,
    e.member_since_year,
    e.location_city,
    e.postal_code,
    e.title,
    e.description,
    e.title_length,
    e.description_length,
    e.anchor_median_hours_14d,
    e.anchor_14d_n,
    e.ask_median_price,
    e.ask_cnt,
    e.sold_median_price_30d,
    e.sold_cnt_30d,
    e.ptv_sold_30d,
    e.ptv_ask_day,
    e.delta_vs_sold_median_30d,
    e.delta_vs_ask_median_day,
    e.ptv_final,
    anchor.speed_fast7_anchor,
    anchor.speed_fast24_anchor,
    anchor.speed_slow21_anchor,
    anchor.speed_median_hours_ptv,
    anchor.speed_n_eff_ptv
FROM ml.tom_features_v1_enriched_clean_mv AS e
LEFT JOIN ml.tom_speed_cohort_v1 AS cohort ON e.listing_id = cohort.listing_id
LEFT JOIN ml.tom_speed_anchor_v1_mv AS anchor
    ON
        cohort.t0_day = anchor.anchor_day
        AND cohort.generation = anchor.generation
        AND cohort.sbucket = anchor.sbucket
        AND cohort.ptv_bucket = anchor.ptv_bucket
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY e.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX tfeat_enr_speed_v1_uq ON ml.tom_features_v1_enriched_speed_mv (listing_id);

COMMENT ON MATERIALIZED VIEW ml.tom_features_v1_enriched_speed_mv IS
'E-speed: E-clean with the speed anchors (D4) of the listing''s own cohort and t0 day; NULL where no cohort matches.';
