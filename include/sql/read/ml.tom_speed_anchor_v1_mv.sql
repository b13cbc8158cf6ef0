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

sold AS (
    -- A cohort's sales, oldest first. The nth day and the nth hours belong to the same sale.
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        array_agg(s.sold_day ORDER BY s.sold_day, s.duration_hours) AS days,
        array_agg(s.duration_hours::float8 ORDER BY s.sold_day, s.duration_hours) AS hours
    FROM ml.sold_durations_v1_mv AS s
    INNER JOIN ml.tom_speed_cohort_v1 AS c ON s.listing_id = c.listing_id
    GROUP BY c.generation, c.sbucket, c.ptv_bucket
),

aging AS (
    -- One weight per day. The first is of the anchor day itself and is never used.
    SELECT array_agg(power(0.5::float8, a.age / 90.0::float8) ORDER BY a.age) AS weights
    FROM generate_series(0, 90) AS a (age)
),

known AS (
    -- The embargo is here. width_bucket(day, days) counts the sales up to and including a day. So the
    -- known sales start after those of 91 days ago and end with those of yesterday.
    SELECT
        d.anchor_day,
        s.generation,
        s.sbucket,
        s.ptv_bucket,
        s.days,
        s.hours,
        a.weights,
        width_bucket(d.anchor_day - 91, s.days) + 1 AS first_sale,
        width_bucket(d.anchor_day - 1, s.days) AS last_sale
    FROM anchor_day AS d
    CROSS JOIN sold AS s
    CROSS JOIN aging AS a
)

SELECT
    k.anchor_day,
    k.generation,
    k.sbucket,
    k.ptv_bucket,
    cohort.sum_w,
    coalesce(cohort.sum_w_fast7, 0) / cohort.sum_w AS speed_fast7_anchor,
    coalesce(cohort.sum_w_fast24, 0) / cohort.sum_w AS speed_fast24_anchor,
    coalesce(cohort.sum_w_slow21, 0) / cohort.sum_w AS speed_slow21_anchor,
    cohort.median_hours AS speed_median_hours_ptv,
    cohort.sum_w * cohort.sum_w / cohort.sum_w_squared AS speed_n_eff_ptv,
    k.days[k.first_sale] AS min_sold_day_used,
    k.days[k.last_sale] AS max_sold_day_used
FROM known AS k
-- The linter does not see that what follows depends on k.
INNER JOIN LATERAL ( -- noqa: ST05
    -- unnest is in the select list, so that a weight is looked up once per sale, not once per sum.
    WITH weighted AS (
        SELECT
            unnest(k.hours[k.first_sale:k.last_sale]) AS hours,
            k.weights[1 + k.anchor_day - unnest(k.days[k.first_sale:k.last_sale])] AS weight
    )

    -- The order of adding changes a sum of floats, so it is fixed: oldest sale first.
    SELECT
        sum(w.weight) AS sum_w,
        sum(w.weight * w.weight) AS sum_w_squared,
        sum(w.weight) FILTER (WHERE w.hours <= 168) AS sum_w_fast7,
        sum(w.weight) FILTER (WHERE w.hours <= 24) AS sum_w_fast24,
        sum(w.weight) FILTER (WHERE w.hours > 504) AS sum_w_slow21,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY w.hours) AS median_hours
    FROM weighted AS w
) AS cohort ON TRUE
WHERE k.first_sale <= k.last_sale
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY k.anchor_day, k.generation, k.sbucket, k.ptv_bucket
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
