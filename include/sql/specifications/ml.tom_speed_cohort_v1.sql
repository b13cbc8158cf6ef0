-- Specification: E's listings that have a generation, a storage and a price of 0.50 to 2.50 times the
--                market's, with their t0 day and the buckets of storage and price that they fall into
-- Relation:      ml.tom_speed_cohort_v1
-- Key:           listing_id
-- Route:         The view computes the buckets by CASE and bisection. Here they are tables of ranges, the
--                upper end not included; a storage below all ranges is its own bucket.
WITH storage_range (sbucket, low, high) AS (
    VALUES (128, 120, 250), (256, 250, 500), (512, 500, 900), (1024, 900, NULL)
),

ratio_range (ptv_bucket, low, high) AS (
    VALUES
    (1, 0.50, 0.80), (2, 0.80, 0.90), (3, 0.90, 1.00), (4, 1.00, 1.10), (5, 1.10, 1.20), (6, 1.20, 1.40), (7, 1.40, NULL)
)

SELECT
    e.listing_id,
    e.edited_date::date AS t0_day,
    e.generation,
    coalesce(s.sbucket, e.storage_gb) AS sbucket,
    r.ptv_bucket
FROM ml.tom_features_v1_enriched_mv AS e
INNER JOIN ratio_range AS r ON e.ptv_final >= r.low AND (e.ptv_final < r.high OR r.high IS NULL)
LEFT JOIN storage_range AS s ON e.storage_gb >= s.low AND (e.storage_gb < s.high OR s.high IS NULL)
WHERE e.generation IS NOT NULL AND e.storage_gb IS NOT NULL AND e.ptv_final <= 2.50
