-- History:    E, the market anchors of each listing, and their cohort
-- Role:       output
-- Relation:   ml.tom_features_v1_enriched_mv
-- Day:        the listing's t0
-- Key:        listing_id
-- Depends:    A 0; D1 -14..-1; D2 0; D3 -30..-1
-- Counts:     D1: anchor_14d_n; D2: ask_cnt; D3: sold_cnt_30d. Rows, several per listing.
-- Weighs:     D1: anchor_median_hours_14d; D2: ptv_final; D3: sold_median_price_30d, ptv_sold_30d,
--             delta_vs_sold_median_30d, ptv_final. Medians, and what takes so many rows.
SELECT
    e.edited_date::date AS day,
    e.listing_id,
    e.generation,
    e.storage_gb,
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
