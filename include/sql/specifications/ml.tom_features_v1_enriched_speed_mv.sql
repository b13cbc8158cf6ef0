-- Specification: E-clean's listings, all columns, with the speed anchors of their cohort and t0 day
-- Relation:      ml.tom_features_v1_enriched_speed_mv (E-speed)
-- Key:           listing_id
-- Route:         E-speed takes the cohorts from a helper view over E. Here the listing's own columns in
--                E-clean choose the row of D4.
SELECT
    e.*, -- noqa: AM04
    d.speed_fast7_anchor,
    d.speed_fast24_anchor,
    d.speed_slow21_anchor,
    d.speed_median_hours_ptv,
    d.speed_n_eff_ptv
FROM ml.tom_features_v1_enriched_clean_mv AS e
LEFT JOIN ml.tom_speed_anchor_v1_mv AS d
    ON
        e.edited_date::date = d.anchor_day
        AND e.generation = d.generation
        AND d.sbucket = CASE
            WHEN e.storage_gb < 120 THEN e.storage_gb
            WHEN e.storage_gb < 250 THEN 128
            WHEN e.storage_gb < 500 THEN 256
            WHEN e.storage_gb < 900 THEN 512
            WHEN e.storage_gb >= 900 THEN 1024
        END
        AND d.ptv_bucket = CASE
            WHEN e.ptv_final < 0.50 THEN NULL
            WHEN e.ptv_final < 0.80 THEN 1
            WHEN e.ptv_final < 0.90 THEN 2
            WHEN e.ptv_final < 1.00 THEN 3
            WHEN e.ptv_final < 1.10 THEN 4
            WHEN e.ptv_final < 1.20 THEN 5
            WHEN e.ptv_final < 1.40 THEN 6
            WHEN e.ptv_final <= 2.50 THEN 7
        END
