-- Proof:      E's anchors count sales of strictly earlier days, and asks of the same day
-- Relation:   ml.tom_features_v1_enriched_mv (E)
-- Rule:       every listing of A is there, and nothing else, in its own cohort and day;
--             anchor_14d_n, sold_cnt_30d, ask_cnt and the three medians are equal to the last bit.
--             Without a cohort the counts of sales are 0 and the rest is NULL.
-- Route:      E looks back from each cohort's day. Here each sale goes forward to the 14 or 30 days
--             that may know it, none of them its own; medians are the values in the middle.
WITH cohort_day AS MATERIALIZED (
    SELECT
        c.generation,
        c.storage_gb,
        c.t0_day,
        row_number() OVER () AS cohort_day_no
    FROM (
        SELECT DISTINCT
            a.generation,
            a.storage_gb,
            a.edited_date::date AS t0_day
        FROM ml.tom_features_v1_mv AS a
    ) AS c
    WHERE c.generation IS NOT NULL AND c.storage_gb IS NOT NULL AND c.t0_day IS NOT NULL
),

sale AS (
    -- Sales of one value and day travel together.
    SELECT
        FALSE AS is_price,
        14 AS known_days,
        d.generation,
        d.storage_gb,
        d.sold_day,
        d.duration_hours::float8 AS amount,
        count(*)::int AS n
    FROM ml.sold_durations_v1_mv AS d
    GROUP BY d.generation, d.storage_gb, d.sold_day, d.duration_hours::float8
    UNION ALL
    SELECT
        TRUE AS is_price,
        30 AS known_days,
        p.generation,
        p.storage_gb,
        p.sold_day,
        p.sold_price::float8 AS amount,
        count(*)::int AS n
    FROM ml.sold_prices_v1_mv AS p
    GROUP BY p.generation, p.storage_gb, p.sold_day, p.sold_price::float8
),

sale_known AS (
    -- A series among the columns, not in FROM: the planner may not join sales to all days of their
    -- cohort first.
    SELECT
        s.is_price,
        s.generation,
        s.storage_gb,
        s.sold_day + generate_series(1, s.known_days) AS known_day,
        s.amount,
        s.n
    FROM sale AS s
    WHERE isfinite(s.sold_day)
),

known AS (
    SELECT
        c.cohort_day_no,
        s.is_price,
        s.amount,
        s.n
    FROM sale_known AS s
    INNER JOIN cohort_day AS c
        ON
            s.generation = c.generation
            AND s.storage_gb = c.storage_gb
            AND s.known_day = c.t0_day
),

ranked AS (
    SELECT
        k.cohort_day_no,
        k.is_price,
        k.amount,
        k.n,
        sum(k.n) OVER up_to_here AS n_up_to_here,
        sum(k.n) OVER (PARTITION BY k.is_price, k.cohort_day_no) AS n_all
    FROM known AS k
    WINDOW
        up_to_here AS (
            PARTITION BY k.is_price, k.cohort_day_no
            ORDER BY k.amount
            ROWS UNBOUNDED PRECEDING
        )
),

middle AS (
    -- Of an odd number of sales one is in the middle, of an even number two. Values that are
    -- alike may lie on several rows: whichever row holds the place has the value.
    SELECT
        r.cohort_day_no,
        r.is_price,
        min(r.n_all) AS n,
        max(r.amount) FILTER (
            WHERE r.n_up_to_here >= (r.n_all + 1) / 2
            AND r.n_up_to_here - r.n < (r.n_all + 1) / 2
        ) AS low,
        max(r.amount) FILTER (
            WHERE r.n_up_to_here >= (r.n_all + 2) / 2
            AND r.n_up_to_here - r.n < (r.n_all + 2) / 2
        ) AS high
    FROM ranked AS r
    GROUP BY r.cohort_day_no, r.is_price
),

expected AS (
    SELECT
        a.listing_id,
        a.generation,
        a.storage_gb,
        a.edited_date,
        coalesce(hours.n, 0) AS anchor_14d_n,
        hours.low + (hours.high - hours.low) * 0.5::float8 AS anchor_median_hours_14d,
        coalesce(price.n, 0) AS sold_cnt_30d,
        price.low + (price.high - price.low) * 0.5::float8 AS sold_median_price_30d,
        ask.ask_cnt,
        ask.ask_median_price
    FROM ml.tom_features_v1_mv AS a
    LEFT JOIN cohort_day AS c
        ON
            a.generation = c.generation
            AND a.storage_gb = c.storage_gb
            AND a.edited_date::date = c.t0_day
    LEFT JOIN middle AS hours ON c.cohort_day_no = hours.cohort_day_no AND NOT hours.is_price
    LEFT JOIN middle AS price ON c.cohort_day_no = price.cohort_day_no AND price.is_price
    LEFT JOIN ml.ask_daily_median_v1 AS ask
        ON
            c.generation = ask.generation
            AND c.storage_gb = ask.storage_gb
            AND c.t0_day = ask.ask_day
),

judged AS MATERIALIZED (
    SELECT
        coalesce(e.listing_id, x.listing_id) AS listing_id,
        e.generation,
        e.storage_gb,
        e.edited_date,
        e.anchor_14d_n,
        e.anchor_median_hours_14d,
        e.sold_cnt_30d,
        e.sold_median_price_30d,
        e.ask_cnt,
        e.ask_median_price,
        x.generation AS x_generation,
        x.storage_gb AS x_storage_gb,
        x.edited_date AS x_edited_date,
        x.anchor_14d_n AS x_anchor_14d_n,
        x.anchor_median_hours_14d AS x_anchor_median_hours_14d,
        x.sold_cnt_30d AS x_sold_cnt_30d,
        x.sold_median_price_30d AS x_sold_median_price_30d,
        x.ask_cnt AS x_ask_cnt,
        x.ask_median_price AS x_ask_median_price,
        (
            (
                e.listing_id, e.generation, e.storage_gb, e.edited_date,
                e.anchor_14d_n, e.anchor_median_hours_14d,
                e.sold_cnt_30d, e.sold_median_price_30d,
                e.ask_cnt, e.ask_median_price
            ) IS DISTINCT FROM (
                x.listing_id, x.generation, x.storage_gb, x.edited_date,
                x.anchor_14d_n, x.anchor_median_hours_14d,
                x.sold_cnt_30d, x.sold_median_price_30d,
                x.ask_cnt, x.ask_median_price
            )
        ) AS is_broken
    FROM ml.tom_features_v1_enriched_mv AS e
    FULL JOIN expected AS x ON e.listing_id = x.listing_id
),

sample AS (
    SELECT * FROM judged AS j
    WHERE j.is_broken
    ORDER BY j.listing_id
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
                        'key', jsonb_build_object('listing_id', s.listing_id),
                        'observed', jsonb_build_object(
                            'generation', s.generation,
                            'storage_gb', s.storage_gb,
                            'edited_date', s.edited_date,
                            'anchor_14d_n', s.anchor_14d_n,
                            'anchor_median_hours_14d', s.anchor_median_hours_14d,
                            'sold_cnt_30d', s.sold_cnt_30d,
                            'sold_median_price_30d', s.sold_median_price_30d,
                            'ask_cnt', s.ask_cnt,
                            'ask_median_price', s.ask_median_price
                        ),
                        'expected', jsonb_build_object(
                            'generation', s.x_generation,
                            'storage_gb', s.x_storage_gb,
                            'edited_date', s.x_edited_date,
                            'anchor_14d_n', s.x_anchor_14d_n,
                            'anchor_median_hours_14d', s.x_anchor_median_hours_14d,
                            'sold_cnt_30d', s.x_sold_cnt_30d,
                            'sold_median_price_30d', s.x_sold_median_price_30d,
                            'ask_cnt', s.x_ask_cnt,
                            'ask_median_price', s.x_ask_median_price
                        )
                    )
                    ORDER BY s.listing_id
                ),
                '[]'
            )
        FROM sample AS s
    ) AS sample
FROM judged AS j;
