-- Relation:   ml.tom_speed_anchor_v1_mv (D4), how fast comparable listings sold
-- Grain:      one row per anchor_day, generation, sbucket, ptv_bucket
-- As-of:      anchor_day; uses sales of the ninety days before it, strictly earlier
-- Never sees: a sale of the anchor day or later (max_sold_day_used proves it)
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_speed_anchor_v1_mv AS
WITH anchor_day AS (
    SELECT DISTINCT e.edited_date::date AS anchor_day
    FROM ml.tom_features_v1_enriched_mv AS e
    WHERE e.edited_date IS NOT NULL
),

known_sale AS (
    -- A sale is known to the ninety days after its own, and its weight halves over them.
    SELECT
        d.anchor_day,
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        s.sold_day,
        s.duration_hours::float8 AS hours,
        power(0.5::float8, later.days / 90.0::float8) AS weight
    FROM ml.sold_durations_v1_mv AS s
    INNER JOIN ml.tom_speed_cohort_v1 AS c ON s.listing_id = c.listing_id
    CROSS JOIN generate_series(1, 90) AS later (days)
    INNER JOIN anchor_day AS d ON s.sold_day + later.days = d.anchor_day
),

cohort AS (
    -- Floats add up differently in another order, so the order is part of the definition.
    SELECT
        k.anchor_day,
        k.generation,
        k.sbucket,
        k.ptv_bucket,
        sum(k.weight ORDER BY k.sold_day, k.hours) AS sum_w,
        sum(k.weight * k.weight ORDER BY k.sold_day, k.hours) AS sum_w_squared,
        sum(k.weight ORDER BY k.sold_day, k.hours) FILTER (WHERE k.hours <= 168) AS sum_w_fast7,
        sum(k.weight ORDER BY k.sold_day, k.hours) FILTER (WHERE k.hours <= 24) AS sum_w_fast24,
        sum(k.weight ORDER BY k.sold_day, k.hours) FILTER (WHERE k.hours > 504) AS sum_w_slow21,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY k.hours) AS median_hours,
        min(k.sold_day) AS min_sold_day_used,
        max(k.sold_day) AS max_sold_day_used
    FROM known_sale AS k
    GROUP BY k.anchor_day, k.generation, k.sbucket, k.ptv_bucket
)

SELECT
    c.anchor_day,
    c.generation,
    c.sbucket,
    c.ptv_bucket,
    c.sum_w,
    coalesce(c.sum_w_fast7, 0) / c.sum_w AS speed_fast7_anchor,
    coalesce(c.sum_w_fast24, 0) / c.sum_w AS speed_fast24_anchor,
    coalesce(c.sum_w_slow21, 0) / c.sum_w AS speed_slow21_anchor,
    c.median_hours AS speed_median_hours_ptv,
    c.sum_w * c.sum_w / c.sum_w_squared AS speed_n_eff_ptv,
    c.min_sold_day_used,
    c.max_sold_day_used
FROM cohort AS c
WITH NO DATA;

CREATE UNIQUE INDEX tom_speed_anchor_v1_uq
ON ml.tom_speed_anchor_v1_mv (anchor_day, generation, sbucket, ptv_bucket);

COMMENT ON MATERIALIZED VIEW ml.tom_speed_anchor_v1_mv IS
'D4: how fast comparable listings (generation, storage bucket, price bucket at t0) sold in the 90 days before each t0 day, newer sales weighing more.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.generation IS
'Generation of the cohort at t0.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.sbucket IS
'Storage bucket of the cohort in GB at t0.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.ptv_bucket IS
'Price bucket of the cohort, 1 to 7, at t0.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.anchor_day IS
'The t0 day that the anchor serves, in the store''s zone.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.sum_w IS
'Sum of the sales'' weights; a sale weighs 0.5 ^ (days before the anchor day / 90).';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.speed_fast7_anchor IS
'Weighted share, 0 to 1, of comparable earlier sales that took at most 168 hours.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.speed_fast24_anchor IS
'Weighted share, 0 to 1, of comparable earlier sales that took at most 24 hours.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.speed_slow21_anchor IS
'Weighted share, 0 to 1, of comparable earlier sales that took more than 504 hours.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.speed_median_hours_ptv IS
'Median hours to sell of comparable earlier sales, unweighted.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.speed_n_eff_ptv IS
'Effective number of comparable earlier sales: square of the summed weights over the sum of their squares.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.min_sold_day_used IS
'Proof: the earliest day of a sale used.';
COMMENT ON COLUMN ml.tom_speed_anchor_v1_mv.max_sold_day_used IS
'Proof: the latest day of a sale used; always before anchor_day.';
