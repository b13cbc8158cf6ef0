-- Proof:      D4's sums, shares and medians are of the ninety days before the anchor day
-- Relation:   ml.tom_speed_anchor_v1_mv (D4)
-- Rule:       every t0 day of E times every cohort with a sale in those days is there, and nothing
--             else; the median is equal to the last bit, sum_w, the shares and n_eff within 1e-9.
-- Route:      D4 sends each sale forward to ninety days and groups. Here a window over the calendar
--             of each cohort gathers the sales that a day may know, and the day weighs them.
WITH sale AS MATERIALIZED (
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        s.sold_day - '2000-01-01'::date AS day_no,
        s.duration_hours::float8 AS hours
    FROM ml.sold_durations_v1_mv AS s
    INNER JOIN ml.tom_speed_cohort_v1 AS c ON s.listing_id = c.listing_id
    WHERE isfinite(s.sold_day)
),

anchor_day AS (
    SELECT DISTINCT e.edited_date::date AS anchor_day
    FROM ml.tom_features_v1_enriched_mv AS e
    WHERE isfinite(e.edited_date)
),

cohort AS (
    SELECT DISTINCT
        s.generation,
        s.sbucket,
        s.ptv_bucket
    FROM sale AS s
),

calendar AS (
    SELECT
        s.generation,
        s.sbucket,
        s.ptv_bucket,
        s.day_no,
        s.hours,
        NULL::date AS anchor_day
    FROM sale AS s
    UNION ALL
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        d.anchor_day - '2000-01-01'::date AS day_no,
        NULL AS hours,
        d.anchor_day
    FROM cohort AS c
    CROSS JOIN anchor_day AS d
),

gathered AS (
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        c.anchor_day,
        c.day_no,
        array_agg(c.hours) FILTER (WHERE c.anchor_day IS NULL) OVER ninety_days AS hours,
        array_agg(c.day_no) FILTER (WHERE c.anchor_day IS NULL) OVER ninety_days AS day_nos
    FROM calendar AS c
    WINDOW
        ninety_days AS (
            PARTITION BY c.generation, c.sbucket, c.ptv_bucket
            ORDER BY c.day_no
            RANGE BETWEEN 90 PRECEDING AND 1 PRECEDING
        )
),

expected AS (
    SELECT
        g.anchor_day,
        g.generation,
        g.sbucket,
        g.ptv_bucket,
        w.sum_w,
        w.sum_w_fast7 / w.sum_w AS fast7,
        w.sum_w_fast24 / w.sum_w AS fast24,
        w.sum_w_slow21 / w.sum_w AS slow21,
        w.sorted[(w.n + 1) / 2]
        + (w.sorted[(w.n + 2) / 2] - w.sorted[(w.n + 1) / 2]) * 0.5::float8 AS median_hours,
        w.sum_w * w.sum_w / w.sum_w_squared AS n_eff
    FROM gathered AS g
    INNER JOIN LATERAL (
        SELECT array_agg(exp((u.day_no - g.day_no) * ln(2::float8) / 90)) AS weights
        FROM unnest(g.day_nos) AS u (day_no)
    ) AS v ON TRUE
    INNER JOIN LATERAL (
        SELECT
            count(*) AS n,
            array_agg(k.hours ORDER BY k.hours) AS sorted,
            sum(k.weight) AS sum_w,
            sum(k.weight * k.weight) AS sum_w_squared,
            sum(CASE WHEN k.hours <= 168 THEN k.weight ELSE 0 END) AS sum_w_fast7,
            sum(CASE WHEN k.hours <= 24 THEN k.weight ELSE 0 END) AS sum_w_fast24,
            sum(CASE WHEN k.hours > 504 THEN k.weight ELSE 0 END) AS sum_w_slow21
        FROM unnest(g.hours, v.weights) AS k (hours, weight)
    ) AS w ON TRUE
    WHERE g.anchor_day IS NOT NULL AND g.hours IS NOT NULL
),

judged AS MATERIALIZED (
    SELECT
        coalesce(d.anchor_day, x.anchor_day) AS anchor_day,
        coalesce(d.generation, x.generation) AS generation,
        coalesce(d.sbucket, x.sbucket) AS sbucket,
        coalesce(d.ptv_bucket, x.ptv_bucket) AS ptv_bucket,
        d.sum_w,
        d.speed_fast7_anchor,
        d.speed_fast24_anchor,
        d.speed_slow21_anchor,
        d.speed_median_hours_ptv,
        d.speed_n_eff_ptv,
        x.sum_w AS x_sum_w,
        x.fast7 AS x_fast7,
        x.fast24 AS x_fast24,
        x.slow21 AS x_slow21,
        x.median_hours AS x_median_hours,
        x.n_eff AS x_n_eff,
        (
            d.speed_median_hours_ptv = x.median_hours
            AND abs(d.sum_w - x.sum_w) <= 1e-9 * x.sum_w
            AND abs(d.speed_fast7_anchor - x.fast7) <= 1e-9 * x.fast7
            AND abs(d.speed_fast24_anchor - x.fast24) <= 1e-9 * x.fast24
            AND abs(d.speed_slow21_anchor - x.slow21) <= 1e-9 * x.slow21
            AND abs(d.speed_n_eff_ptv - x.n_eff) <= 1e-9 * x.n_eff
        ) IS NOT TRUE AS is_broken
    FROM ml.tom_speed_anchor_v1_mv AS d
    FULL JOIN expected AS x
        ON
            d.anchor_day = x.anchor_day
            AND d.generation = x.generation
            AND d.sbucket = x.sbucket
            AND d.ptv_bucket = x.ptv_bucket
),

sample AS (
    SELECT * FROM judged AS j
    WHERE j.is_broken
    ORDER BY j.anchor_day, j.generation, j.sbucket, j.ptv_bucket
    LIMIT 20
)

SELECT
    count(*) AS compared,
    count(*) FILTER (WHERE j.is_broken) AS broken,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'key', jsonb_build_object(
                            'anchor_day', s.anchor_day,
                            'generation', s.generation,
                            'sbucket', s.sbucket,
                            'ptv_bucket', s.ptv_bucket
                        ),
                        'observed', jsonb_build_object(
                            'sum_w', s.sum_w,
                            'speed_fast7_anchor', s.speed_fast7_anchor,
                            'speed_fast24_anchor', s.speed_fast24_anchor,
                            'speed_slow21_anchor', s.speed_slow21_anchor,
                            'speed_median_hours_ptv', s.speed_median_hours_ptv,
                            'speed_n_eff_ptv', s.speed_n_eff_ptv
                        ),
                        'expected', jsonb_build_object(
                            'sum_w', s.x_sum_w,
                            'speed_fast7_anchor', s.x_fast7,
                            'speed_fast24_anchor', s.x_fast24,
                            'speed_slow21_anchor', s.x_slow21,
                            'speed_median_hours_ptv', s.x_median_hours,
                            'speed_n_eff_ptv', s.x_n_eff
                        )
                    )
                    ORDER BY s.anchor_day, s.generation, s.sbucket, s.ptv_bucket
                ),
                '[]'
            )
        FROM sample AS s
    ) AS sample
FROM judged AS j;
