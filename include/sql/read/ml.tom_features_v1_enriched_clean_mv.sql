-- Relation:   ml.tom_features_v1_enriched_clean_mv (E-clean), E without spam
-- Grain:      one row per listing_id
-- Rows:       those of ml.tom_features_v1_enriched_mv, without spam
-- As-of:      edited_date (t0)
-- Never sees: a listing with a spam token on any of its rows, as of the refresh
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_features_v1_enriched_clean_mv AS
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
    e.ptv_final
FROM ml.tom_features_v1_enriched_mv AS e
WHERE
    NOT EXISTS (
        SELECT 1
        FROM ml.spam_listings_v1 AS s
        WHERE s.listing_id = e.listing_id
    )
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY e.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX tom_features_v1_enriched_clean_mv_uq
ON ml.tom_features_v1_enriched_clean_mv (listing_id);

COMMENT ON MATERIALIZED VIEW ml.tom_features_v1_enriched_clean_mv IS
'E-clean: E without the listings of ml.spam_listings_v1. The base of everything that a model reads.';
