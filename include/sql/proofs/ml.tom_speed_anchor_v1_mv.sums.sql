-- Proof:      D4's sums, shares and medians are of the ninety days before the anchor day
-- Relation:   ml.tom_speed_anchor_v1_mv (D4)
-- Rule:       every t0 day of E times every cohort with a sale in those days is there, and nothing
--             else; the median is equal to the last bit, sum_w, the shares and n_eff within 1e-9.
-- Route:      D4 weighs and sorts the sales of each anchor one by one. Here each cohort's sales are
--             summed and sorted once a day and once in ten days; an anchor adds up the blocks that
--             make up its ninety days, and holds its median against how many sales lie below it.
WITH cohort AS (
    -- The buckets in words of their own: D4 has them from ml.tom_speed_cohort_v1.
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
    WHERE
        e.generation IS NOT NULL
        AND e.storage_gb IS NOT NULL
        AND e.ptv_final >= 0.50
        AND e.ptv_final <= 2.50
),

sale AS (
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        s.sold_day - 'J0'::date AS day_no,
        s.duration_hours::float8 AS hours
    FROM ml.sold_durations_v1_mv AS s
    INNER JOIN cohort AS c ON s.listing_id = c.listing_id
    WHERE isfinite(s.sold_day)
),

in_block AS (
    -- Weights are counted from the block's first day, so that they stay near 1 whatever the year.
    SELECT
        s.generation,
        s.sbucket,
        s.ptv_bucket,
        length.days,
        s.day_no / length.days AS block_no,
        s.hours,
        exp(ln(2::float8) / 90 * (s.day_no % length.days)) AS weight
    FROM sale AS s
    CROSS JOIN (VALUES (1), (10)) AS length (days)
),

block AS MATERIALIZED (
    SELECT
        b.generation,
        b.sbucket,
        b.ptv_bucket,
        b.days,
        b.block_no,
        array_agg(b.hours ORDER BY b.hours) AS hours,
        sum(b.weight) AS w,
        sum(b.weight * b.weight) AS w_squared,
        sum(CASE WHEN b.hours <= 168 THEN b.weight ELSE 0 END) AS w_fast7,
        sum(CASE WHEN b.hours <= 24 THEN b.weight ELSE 0 END) AS w_fast24,
        sum(CASE WHEN b.hours > 504 THEN b.weight ELSE 0 END) AS w_slow21
    FROM in_block AS b
    GROUP BY b.generation, b.sbucket, b.ptv_bucket, b.days, b.block_no
),

anchor_day AS (
    SELECT DISTINCT
        e.edited_date::date AS anchor_day,
        e.edited_date::date - 'J0'::date AS day_no
    FROM ml.tom_features_v1_enriched_mv AS e
    WHERE isfinite(e.edited_date)
),

window_day AS (
    -- Ten days at once where all ten are among the ninety, else one day.
    SELECT
        d.anchor_day,
        d.day_no AS anchor_no,
        known.day_no,
        CASE
            WHEN
                known.day_no / 10 * 10 >= d.day_no - 90
                AND known.day_no / 10 * 10 + 10 <= d.day_no
                THEN 10
            ELSE 1
        END AS days
    FROM anchor_day AS d
    CROSS JOIN generate_series(d.day_no - 90, d.day_no - 1) AS known (day_no)
),

part AS MATERIALIZED (
    SELECT DISTINCT
        w.anchor_day,
        w.days,
        w.day_no / w.days AS block_no,
        exp(ln(2::float8) / 90 * (w.day_no / w.days * w.days - w.anchor_no)) AS weight
    FROM window_day AS w
),

known AS (
    -- width_bucket finds by bisection how many values of a sorted array are not above another.
    SELECT
        p.anchor_day,
        b.generation,
        b.sbucket,
        b.ptv_bucket,
        d.speed_median_hours_ptv AS median,
        b.hours,
        width_bucket(d.speed_median_hours_ptv, b.hours) AS n_up_to,
        cardinality(array_positions(b.hours, d.speed_median_hours_ptv)) AS n_alike,
        b.w * p.weight AS w,
        b.w_squared * p.weight * p.weight AS w_squared,
        b.w_fast7 * p.weight AS w_fast7,
        b.w_fast24 * p.weight AS w_fast24,
        b.w_slow21 * p.weight AS w_slow21
    FROM block AS b
    INNER JOIN part AS p ON b.days = p.days AND b.block_no = p.block_no
    LEFT JOIN ml.tom_speed_anchor_v1_mv AS d
        ON
            p.anchor_day = d.anchor_day
            AND b.generation = d.generation
            AND b.sbucket = d.sbucket
            AND b.ptv_bucket = d.ptv_bucket
),

counted AS (
    SELECT
        k.anchor_day,
        k.generation,
        k.sbucket,
        k.ptv_bucket,
        k.median,
        sum(k.w) AS sum_w,
        sum(k.w_fast7) / sum(k.w) AS fast7,
        sum(k.w_fast24) / sum(k.w) AS fast24,
        sum(k.w_slow21) / sum(k.w) AS slow21,
        sum(k.w) * sum(k.w) / sum(k.w_squared) AS n_eff,
        sum(cardinality(k.hours)) AS n,
        sum(k.n_up_to - k.n_alike) AS n_below,
        sum(k.n_up_to) AS n_up_to,
        max(k.hours[k.n_up_to - k.n_alike]) AS next_below,
        min(k.hours[k.n_up_to + 1]) AS next_above
    FROM known AS k
    GROUP BY k.anchor_day, k.generation, k.sbucket, k.ptv_bucket, k.median
),

middle AS (
    -- Of an odd number of sales one is in the middle, of an even number two. Up to n_below they are
    -- below the median, from there up to n_up_to like it, and above it after that. If the next
    -- value below or above stands in the middle, the median is half way between two values.
    SELECT
        c.*,
        CASE
            WHEN (c.n + 1) / 2 <= c.n_below THEN c.next_below
            WHEN (c.n + 1) / 2 <= c.n_up_to THEN c.median
            ELSE c.next_above
        END AS low,
        CASE
            WHEN (c.n + 2) / 2 <= c.n_below THEN c.next_below
            WHEN (c.n + 2) / 2 <= c.n_up_to THEN c.median
            ELSE c.next_above
        END AS high
    FROM counted AS c
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
        x.n_eff AS x_n_eff,
        (
            (
                (x.median = x.low AND x.median = x.high)
                OR x.median = x.low + (x.high - x.low) * 0.5::float8
            )
            AND abs(d.sum_w - x.sum_w) <= 1e-9 * x.sum_w
            AND abs(d.speed_fast7_anchor - x.fast7) <= 1e-9 * x.fast7
            AND abs(d.speed_fast24_anchor - x.fast24) <= 1e-9 * x.fast24
            AND abs(d.speed_slow21_anchor - x.slow21) <= 1e-9 * x.slow21
            AND abs(d.speed_n_eff_ptv - x.n_eff) <= 1e-9 * x.n_eff
        ) IS NOT TRUE AS is_broken
    FROM ml.tom_speed_anchor_v1_mv AS d
    FULL JOIN middle AS x
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
),

expected AS (
    -- The medians that these rows should have had, worked out for them alone.
    SELECT
        s.anchor_day,
        s.generation,
        s.sbucket,
        s.ptv_bucket,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY sale.hours) AS median_hours
    FROM sample AS s
    INNER JOIN block AS b
        ON
            s.generation = b.generation
            AND s.sbucket = b.sbucket
            AND s.ptv_bucket = b.ptv_bucket
            AND b.days = 1
            AND b.block_no - (s.anchor_day - 'J0'::date) BETWEEN -90 AND -1
    CROSS JOIN unnest(b.hours) AS sale (hours)
    WHERE s.x_sum_w IS NOT NULL
    GROUP BY s.anchor_day, s.generation, s.sbucket, s.ptv_bucket
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
                            'speed_median_hours_ptv', x.median_hours,
                            'speed_n_eff_ptv', s.x_n_eff
                        )
                    )
                    ORDER BY s.anchor_day, s.generation, s.sbucket, s.ptv_bucket
                ),
                '[]'
            )
        FROM sample AS s
        LEFT JOIN expected AS x
            ON
                s.anchor_day = x.anchor_day
                AND s.generation = x.generation
                AND s.sbucket = x.sbucket
                AND s.ptv_bucket = x.ptv_bucket
    ) AS sample
FROM judged AS j;
