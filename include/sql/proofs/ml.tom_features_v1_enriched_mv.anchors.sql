-- Proof:      E's anchors count sales of strictly earlier days, and asks of the same day
-- Relation:   ml.tom_features_v1_enriched_mv (E)
-- Rule:       every listing of A is there, and nothing else, in its own cohort and day;
--             anchor_14d_n, sold_cnt_30d, ask_cnt and the three medians are equal to the last bit.
--             Without a cohort the counts of sales are 0 and the rest is NULL.
-- Route:      E looks back from each cohort's day and sorts what it finds. Here a cohort's sales of
--             one day go forward to the 14 or 30 days that may know them, none of them their own;
--             and a median is not worked out but held against how many sales lie below it.
WITH listing AS MATERIALIZED (
    -- Listings of one cohort and day claim the same two medians: proven once, not for each of them.
    SELECT
        e.listing_id,
        e.generation,
        e.storage_gb,
        e.edited_date,
        e.anchor_14d_n,
        e.anchor_median_hours_14d,
        e.sold_cnt_30d,
        e.sold_median_price_30d,
        e.ask_cnt,
        e.ask_median_price,
        e.edited_date::date AS t0_day,
        dense_rank() OVER (
            ORDER BY
                e.generation, e.storage_gb, e.edited_date::date,
                e.anchor_median_hours_14d, e.sold_median_price_30d
        ) AS claim_no
    FROM ml.tom_features_v1_enriched_mv AS e
),

claim AS (
    SELECT DISTINCT
        l.claim_no,
        l.generation,
        l.storage_gb,
        l.t0_day,
        FALSE AS is_price,
        l.anchor_median_hours_14d AS median
    FROM listing AS l
    UNION ALL
    SELECT DISTINCT
        l.claim_no,
        l.generation,
        l.storage_gb,
        l.t0_day,
        TRUE AS is_price,
        l.sold_median_price_30d AS median
    FROM listing AS l
),

sale AS (
    SELECT
        FALSE AS is_price,
        14 AS known_days,
        d.generation,
        d.storage_gb,
        d.sold_day,
        d.duration_hours::float8 AS amount
    FROM ml.sold_durations_v1_mv AS d
    UNION ALL
    SELECT
        TRUE AS is_price,
        30 AS known_days,
        p.generation,
        p.storage_gb,
        p.sold_day,
        p.sold_price::float8 AS amount
    FROM ml.sold_prices_v1_mv AS p
),

sale_day AS MATERIALIZED (
    SELECT
        s.is_price,
        s.known_days,
        s.generation,
        s.storage_gb,
        s.sold_day,
        array_agg(s.amount ORDER BY s.amount) AS amounts
    FROM sale AS s
    WHERE isfinite(s.sold_day)
    GROUP BY s.is_price, s.known_days, s.generation, s.storage_gb, s.sold_day
),

sale_known AS (
    -- A series among the columns, not in FROM: the planner may not join sales to all days of their
    -- cohort first.
    SELECT
        s.is_price,
        s.generation,
        s.storage_gb,
        s.sold_day + generate_series(1, s.known_days) AS known_day,
        s.amounts
    FROM sale_day AS s
),

known AS (
    -- width_bucket finds by bisection how many values of a sorted array are not above another.
    SELECT
        c.claim_no,
        c.is_price,
        c.median,
        s.amounts,
        width_bucket(c.median, s.amounts) AS n_up_to,
        cardinality(array_positions(s.amounts, c.median)) AS n_alike
    FROM sale_known AS s
    INNER JOIN claim AS c
        ON
            s.is_price = c.is_price
            AND s.generation = c.generation
            AND s.storage_gb = c.storage_gb
            AND s.known_day = c.t0_day
),

counted AS (
    SELECT
        k.claim_no,
        k.is_price,
        k.median,
        sum(cardinality(k.amounts)) AS n,
        sum(k.n_up_to - k.n_alike) AS n_below,
        sum(k.n_up_to) AS n_up_to,
        max(k.amounts[k.n_up_to - k.n_alike]) AS next_below,
        min(k.amounts[k.n_up_to + 1]) AS next_above
    FROM known AS k
    GROUP BY k.claim_no, k.is_price, k.median
),

middle AS (
    -- Of an odd number of sales one is in the middle, of an even number two. Up to n_below they are
    -- below the median, from there up to n_up_to like it, and above it after that. If the next
    -- value below or above stands in the middle, the median is half way between two values.
    SELECT
        c.claim_no,
        c.is_price,
        c.median,
        c.n,
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

proven AS (
    SELECT
        m.claim_no,
        m.is_price,
        m.n,
        (
            (m.median = m.low AND m.median = m.high)
            OR m.median = m.low + (m.high - m.low) * 0.5::float8
        ) IS TRUE AS is_median
    FROM middle AS m
),

judged AS MATERIALIZED (
    SELECT
        coalesce(l.listing_id, a.listing_id) AS listing_id,
        l.generation,
        l.storage_gb,
        l.edited_date,
        l.anchor_14d_n,
        l.anchor_median_hours_14d,
        l.sold_cnt_30d,
        l.sold_median_price_30d,
        l.ask_cnt,
        l.ask_median_price,
        (
            l.listing_id = a.listing_id
            AND (l.generation, l.storage_gb, l.edited_date)
            IS NOT DISTINCT FROM (a.generation, a.storage_gb, a.edited_date)
            AND l.anchor_14d_n = coalesce(hours.n, 0)
            AND coalesce(hours.is_median, l.anchor_median_hours_14d IS NULL)
            AND l.sold_cnt_30d = coalesce(price.n, 0)
            AND coalesce(price.is_median, l.sold_median_price_30d IS NULL)
            AND (l.ask_cnt, l.ask_median_price)
            IS NOT DISTINCT FROM (ask.ask_cnt, ask.ask_median_price)
        ) IS NOT TRUE AS is_broken
    FROM listing AS l
    FULL JOIN ml.tom_features_v1_mv AS a ON l.listing_id = a.listing_id
    LEFT JOIN proven AS hours ON l.claim_no = hours.claim_no AND NOT hours.is_price
    LEFT JOIN proven AS price ON l.claim_no = price.claim_no AND price.is_price
    LEFT JOIN ml.ask_daily_median_v1 AS ask
        ON
            a.generation = ask.generation
            AND a.storage_gb = ask.storage_gb
            AND a.edited_date::date = ask.ask_day
),

sample AS (
    SELECT * FROM judged AS j
    WHERE j.is_broken
    ORDER BY j.listing_id
    LIMIT 20
),

known_to_sample AS (
    -- What these rows should have said is worked out for them alone.
    SELECT
        a.listing_id,
        count(*) FILTER (WHERE NOT d.is_price) AS n_hours,
        count(*) FILTER (WHERE d.is_price) AS n_price,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY sale.amount)
        FILTER (WHERE NOT d.is_price) AS median_hours,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY sale.amount)
        FILTER (WHERE d.is_price) AS median_price
    FROM sample AS s
    INNER JOIN ml.tom_features_v1_mv AS a ON s.listing_id = a.listing_id
    INNER JOIN sale_day AS d
        ON
            a.generation = d.generation
            AND a.storage_gb = d.storage_gb
            AND a.edited_date::date > d.sold_day
            AND a.edited_date::date <= d.sold_day + d.known_days
    CROSS JOIN unnest(d.amounts) AS sale (amount)
    GROUP BY a.listing_id
),

expected AS (
    SELECT
        a.listing_id,
        a.generation,
        a.storage_gb,
        a.edited_date,
        coalesce(k.n_hours, 0) AS anchor_14d_n,
        k.median_hours AS anchor_median_hours_14d,
        coalesce(k.n_price, 0) AS sold_cnt_30d,
        k.median_price AS sold_median_price_30d,
        ask.ask_cnt,
        ask.ask_median_price
    FROM sample AS s
    INNER JOIN ml.tom_features_v1_mv AS a ON s.listing_id = a.listing_id
    LEFT JOIN known_to_sample AS k ON s.listing_id = k.listing_id
    LEFT JOIN ml.ask_daily_median_v1 AS ask
        ON
            a.generation = ask.generation
            AND a.storage_gb = ask.storage_gb
            AND a.edited_date::date = ask.ask_day
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
                            'generation', x.generation,
                            'storage_gb', x.storage_gb,
                            'edited_date', x.edited_date,
                            'anchor_14d_n', x.anchor_14d_n,
                            'anchor_median_hours_14d', x.anchor_median_hours_14d,
                            'sold_cnt_30d', x.sold_cnt_30d,
                            'sold_median_price_30d', x.sold_median_price_30d,
                            'ask_cnt', x.ask_cnt,
                            'ask_median_price', x.ask_median_price
                        )
                    )
                    ORDER BY s.listing_id
                ),
                '[]'
            )
        FROM sample AS s
        LEFT JOIN expected AS x ON s.listing_id = x.listing_id
    ) AS sample
FROM judged AS j;
