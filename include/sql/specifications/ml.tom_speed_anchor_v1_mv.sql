-- Specification: for each t0 day of E and each cohort with sales in the ninety days before it: how fast
--                those sold; a sale's weight halves in ninety days
-- Relation:      ml.tom_speed_anchor_v1_mv (D4)
-- Key:           anchor_day, generation, sbucket, ptv_bucket
-- Route:         D4 cuts the known sales out of sorted arrays by position. Here t0 days and sales are in
--                one calendar, a window frame takes the ninety days before, and this file computes the
--                cohorts from E itself.
-- Tolerance:     sum_w, speed_fast7_anchor, speed_fast24_anchor, speed_slow21_anchor, speed_n_eff_ptv within 1e-12
WITH cohort AS MATERIALIZED (
    SELECT
        e.listing_id,
        e.generation,
        CASE
            WHEN e.storage_gb < 120 THEN e.storage_gb
            WHEN e.storage_gb < 250 THEN 128
            WHEN e.storage_gb < 500 THEN 256
            WHEN e.storage_gb < 900 THEN 512
            ELSE 1024
        END AS sbucket,
        CASE
            WHEN e.ptv_final < 0.80 THEN 1
            WHEN e.ptv_final < 0.90 THEN 2
            WHEN e.ptv_final < 1.00 THEN 3
            WHEN e.ptv_final < 1.10 THEN 4
            WHEN e.ptv_final < 1.20 THEN 5
            WHEN e.ptv_final < 1.40 THEN 6
            ELSE 7
        END AS ptv_bucket
    FROM ml.tom_features_v1_enriched_mv AS e
    WHERE e.generation IS NOT NULL AND e.storage_gb IS NOT NULL AND e.ptv_final >= 0.50 AND e.ptv_final <= 2.50
),

sale AS MATERIALIZED (
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        s.sold_day AS day,
        s.sold_day,
        s.duration_hours::float8 AS hours
    FROM ml.sold_durations_v1_mv AS s
    INNER JOIN cohort AS c ON s.listing_id = c.listing_id
),

cohort_sold AS (
    SELECT DISTINCT
        s.generation,
        s.sbucket,
        s.ptv_bucket
    FROM sale AS s
),

t0_day AS (
    SELECT DISTINCT e.edited_date::date AS day FROM ml.tom_features_v1_enriched_mv AS e
),

calendar AS (
    SELECT s.* FROM sale AS s
    UNION ALL
    SELECT
        s.*,
        t.day,
        NULL::date AS sold_day,
        NULL::float8 AS hours
    FROM cohort_sold AS s
    CROSS JOIN t0_day AS t
),

known AS (
    SELECT
        c.*,
        array_agg(c.sold_day) FILTER (WHERE c.sold_day IS NOT NULL) OVER ninety_days AS sold_days,
        array_agg(c.hours) FILTER (WHERE c.sold_day IS NOT NULL) OVER ninety_days AS all_hours,
        min(c.sold_day) OVER ninety_days AS first_day,
        max(c.sold_day) OVER ninety_days AS last_day
    FROM calendar AS c
    WINDOW
        ninety_days AS (
            PARTITION BY c.generation, c.sbucket, c.ptv_bucket
            ORDER BY c.day RANGE BETWEEN INTERVAL '90 days' PRECEDING AND INTERVAL '1 day' PRECEDING
        )
)

SELECT
    k.day AS anchor_day,
    k.generation,
    k.sbucket,
    k.ptv_bucket,
    weighed.w AS sum_w,
    coalesce(weighed.w_fast7, 0) / weighed.w AS speed_fast7_anchor,
    coalesce(weighed.w_fast24, 0) / weighed.w AS speed_fast24_anchor,
    coalesce(weighed.w_slow21, 0) / weighed.w AS speed_slow21_anchor,
    weighed.median_hours AS speed_median_hours_ptv,
    weighed.w * weighed.w / weighed.w_squared AS speed_n_eff_ptv,
    k.first_day AS min_sold_day_used,
    k.last_day AS max_sold_day_used
FROM known AS k
-- The linter does not see that what follows depends on k.
INNER JOIN LATERAL ( -- noqa: ST05
    WITH sale AS (
        SELECT
            unnest(k.all_hours) AS hours,
            0.5::float8 ^ ((k.day - unnest(k.sold_days)) / 90.0::float8) AS weight
    )

    SELECT
        sum(s.weight) AS w,
        sum(s.weight * s.weight) AS w_squared,
        sum(s.weight) FILTER (WHERE s.hours <= 168) AS w_fast7,
        sum(s.weight) FILTER (WHERE s.hours <= 24) AS w_fast24,
        sum(s.weight) FILTER (WHERE s.hours > 504) AS w_slow21,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY s.hours) AS median_hours
    FROM sale AS s
) AS weighed ON k.sold_day IS NULL AND k.sold_days IS NOT NULL
