-- Relation:   ml.tom_speed_cohort_v1, the speed cohort of each listing of E at t0
-- Grain:      one row per listing_id of E that has a cohort
-- As-of:      edited_date (t0): price, storage and anchors of the t0 snapshot, not of the sale
-- Never sees: an outcome
-- Refresh:    none, a plain view. The only definition of the cohort's buckets: D4 groups sales by it,
--             and E-speed looks its anchors up by it.
CREATE VIEW ml.tom_speed_cohort_v1 AS
SELECT
    e.listing_id,
    e.edited_date::date AS t0_day,
    e.generation,
    CASE
        WHEN e.storage_gb >= 900 THEN 1024
        WHEN e.storage_gb >= 500 THEN 512
        WHEN e.storage_gb >= 250 THEN 256
        WHEN e.storage_gb >= 120 THEN 128
        ELSE e.storage_gb
    END AS sbucket,
    width_bucket(
        e.ptv_final, ARRAY[0.50, 0.80, 0.90, 1.00, 1.10, 1.20, 1.40]::float8[]
    ) AS ptv_bucket
FROM ml.tom_features_v1_enriched_mv AS e
WHERE
    e.generation IS NOT NULL
    AND e.storage_gb IS NOT NULL
    AND e.ptv_final BETWEEN 0.50 AND 2.50;

COMMENT ON VIEW ml.tom_speed_cohort_v1 IS
'The cohort of comparable listings (generation, storage bucket, price bucket) of each listing of E at t0. No row: no cohort, so no speed anchor.';
COMMENT ON COLUMN ml.tom_speed_cohort_v1.t0_day IS
'Day of t0 in the store''s zone; NULL without t0.';
COMMENT ON COLUMN ml.tom_speed_cohort_v1.sbucket IS
'Storage bucket in GB: 900 and more is 1024, from 500 512, from 250 256, from 120 128, else as it is.';
COMMENT ON COLUMN ml.tom_speed_cohort_v1.ptv_bucket IS
'Price bucket 1 to 7 of ptv_final, from 0.50, 0.80, 0.90, 1.00, 1.10, 1.20 and 1.40; outside 0.50 to 2.50 none.';
