-- Specification: each day, segment and colour of F1's listings, and how many of them are alike
-- Relation:      feature_store.device_count_day_v1_mv
-- Key:           t0_day, gen_key, model_variant, color_bucket
-- Route:         Counts, for each listing, the listings like it, and keeps one row of each kind.
SELECT DISTINCT
    b.t0_day,
    b.gen_key,
    b.model_variant,
    b.color_bucket,
    count(b.listing_id) OVER (PARTITION BY b.t0_day, b.gen_key, b.model_variant, b.color_bucket) AS n
FROM feature_store.v_device_meta_base_t0_v1 AS b
