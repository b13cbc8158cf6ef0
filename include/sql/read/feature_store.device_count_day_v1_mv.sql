-- Relation:   feature_store.device_count_day_v1_mv, how many listings of each device came each day
-- Grain:      one row per t0_day, gen_key, model_variant, color_bucket that occurs; the first two
--             may be NULL
-- As-of:      t0_day
-- Never sees: another day. F2 reads it and adds up strictly earlier days.
-- Refresh:    concurrent. Created empty; the first refresh fills it. It keeps what F2 saw of F1: an
--             image that arrives after the refresh changes F1, but not this relation or F2.
CREATE MATERIALIZED VIEW feature_store.device_count_day_v1_mv AS
SELECT
    b.t0_day,
    b.gen_key,
    b.model_variant,
    b.color_bucket,
    count(*) AS n
FROM feature_store.v_device_meta_base_t0_v1 AS b
GROUP BY b.t0_day, b.gen_key, b.model_variant, b.color_bucket
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY b.t0_day, b.gen_key, b.model_variant COLLATE "C", b.color_bucket COLLATE "C"
WITH NO DATA;

-- A concurrent refresh deletes rows with a NULL key and inserts them again, each time.
CREATE UNIQUE INDEX device_count_day_v1_uq
ON feature_store.device_count_day_v1_mv (t0_day, gen_key, model_variant, color_bucket)
NULLS NOT DISTINCT;

COMMENT ON MATERIALIZED VIEW feature_store.device_count_day_v1_mv IS
'Listings of F1 per t0 day, segment and colour, as of the refresh. F2 adds these up and is proven by them.';
COMMENT ON COLUMN feature_store.device_count_day_v1_mv.t0_day IS
'Day of t0 in the store''s zone; NULL for listings without t0, which F2 does not count.';
COMMENT ON COLUMN feature_store.device_count_day_v1_mv.gen_key IS
'Generation of the segment; NULL for listings whose generation is not known.';
COMMENT ON COLUMN feature_store.device_count_day_v1_mv.model_variant IS
'Model variant of the segment.';
COMMENT ON COLUMN feature_store.device_count_day_v1_mv.color_bucket IS
'Colour.';
COMMENT ON COLUMN feature_store.device_count_day_v1_mv.n IS
'Listings whose t0 is of that day.';
