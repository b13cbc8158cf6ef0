-- Relation:   ml.tom_speed_anchor_v1_mv (D4), as its definition tells it
-- Naive:      each anchor day is joined to the sales of the ninety days before it by the range of
--             days, so that a plan can only try all pairs of a day and a sale
CREATE MATERIALIZED VIEW ml.tom_speed_anchor_v1_mv AS
WITH anchor_day AS (
    SELECT DISTINCT e.edited_date::date AS anchor_day
    FROM ml.tom_features_v1_enriched_mv AS e
    WHERE e.edited_date IS NOT NULL
),

sale AS (
    SELECT
        d.sold_day,
        d.duration_hours::float8 AS hours,
        e.generation,
        CASE
            WHEN e.storage_gb >= 900 THEN 1024
            WHEN e.storage_gb >= 500 THEN 512
            WHEN e.storage_gb >= 250 THEN 256
            WHEN e.storage_gb >= 120 THEN 128
            ELSE e.storage_gb
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
    FROM ml.sold_durations_v1_mv AS d
    INNER JOIN ml.tom_features_v1_enriched_mv AS e ON d.listing_id = e.listing_id
    WHERE
        e.generation IS NOT NULL
        AND e.storage_gb IS NOT NULL
        AND e.ptv_final BETWEEN 0.50 AND 2.50
),

weighed AS (
    SELECT
        a.anchor_day,
        s.generation,
        s.sbucket,
        s.ptv_bucket,
        s.sold_day,
        s.hours,
        power(0.5::float8, (a.anchor_day - s.sold_day) / 90.0::float8) AS w
    FROM anchor_day AS a
    INNER JOIN sale AS s ON a.anchor_day > s.sold_day AND a.anchor_day - 90 <= s.sold_day
)

SELECT
    w.anchor_day,
    w.generation,
    w.sbucket,
    w.ptv_bucket,
    sum(w.w) AS sum_w,
    sum(CASE WHEN w.hours <= 168 THEN w.w ELSE 0 END) / sum(w.w) AS speed_fast7_anchor,
    sum(CASE WHEN w.hours <= 24 THEN w.w ELSE 0 END) / sum(w.w) AS speed_fast24_anchor,
    sum(CASE WHEN w.hours > 504 THEN w.w ELSE 0 END) / sum(w.w) AS speed_slow21_anchor,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY w.hours) AS speed_median_hours_ptv,
    sum(w.w) * sum(w.w) / sum(w.w * w.w) AS speed_n_eff_ptv,
    min(w.sold_day) AS min_sold_day_used,
    max(w.sold_day) AS max_sold_day_used
FROM weighed AS w
GROUP BY w.anchor_day, w.generation, w.sbucket, w.ptv_bucket
WITH NO DATA;
