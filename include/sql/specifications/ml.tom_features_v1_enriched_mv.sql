-- Specification: A's listings, all columns, with medians and counts of their cohort's sales of earlier
--                days and asks of the t0 day, and their price relative to both
-- Relation:      ml.tom_features_v1_enriched_mv (E)
-- Key:           listing_id
-- Route:         E cuts the known sales out of sorted arrays by position. Here t0 days and sales are in
--                one calendar, and a window frame of days takes the 14 or 30 days before.
WITH t0_day AS (
    SELECT DISTINCT
        a.generation,
        a.storage_gb,
        a.edited_date::date AS day
    FROM ml.tom_features_v1_mv AS a
),

calendar AS (
    SELECT
        14 AS days_known,
        d.generation,
        d.storage_gb,
        d.sold_day AS day,
        FALSE AS is_t0,
        d.duration_hours::float8 AS amount
    FROM ml.sold_durations_v1_mv AS d
    UNION ALL
    SELECT
        30 AS days_known,
        p.generation,
        p.storage_gb,
        p.sold_day,
        FALSE AS is_t0,
        p.sold_price
    FROM ml.sold_prices_v1_mv AS p
    UNION ALL
    SELECT
        v.days_known,
        t.*,
        TRUE AS is_t0,
        NULL AS amount
    FROM t0_day AS t
    CROSS JOIN (VALUES (14), (30)) AS v (days_known)
),

known AS (
    SELECT
        c.*,
        array_agg(c.amount) FILTER (WHERE NOT c.is_t0) OVER (
            PARTITION BY c.generation, c.storage_gb
            ORDER BY c.day RANGE BETWEEN INTERVAL '14 days' PRECEDING AND INTERVAL '1 day' PRECEDING
        ) AS amounts
    FROM calendar AS c
    WHERE c.days_known = 14
    UNION ALL
    SELECT
        c.*,
        array_agg(c.amount) FILTER (WHERE NOT c.is_t0) OVER (
            PARTITION BY c.generation, c.storage_gb
            ORDER BY c.day RANGE BETWEEN INTERVAL '30 days' PRECEDING AND INTERVAL '1 day' PRECEDING
        ) AS amounts
    FROM calendar AS c
    WHERE c.days_known = 30
),

market AS (
    SELECT
        k.days_known,
        k.generation,
        k.storage_gb,
        k.day,
        cardinality(k.amounts)::bigint AS n,
        (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x.amount) FROM unnest(k.amounts) AS x (amount)) AS median
    FROM known AS k
    WHERE k.is_t0
),

held AS (
    SELECT
        a.*,
        hours.median AS anchor_median_hours_14d,
        coalesce(hours.n, 0) AS anchor_14d_n,
        ask.ask_median_price,
        ask.ask_cnt,
        paid.median AS sold_median_price_30d,
        coalesce(paid.n, 0) AS sold_cnt_30d,
        CASE WHEN paid.median > 0 THEN a.price / paid.median END AS ptv_sold_30d,
        CASE WHEN ask.ask_median_price > 0 THEN a.price / ask.ask_median_price END AS ptv_ask_day
    FROM ml.tom_features_v1_mv AS a
    LEFT JOIN market AS hours
        ON
            a.generation = hours.generation AND a.storage_gb = hours.storage_gb AND a.edited_date::date = hours.day
            AND hours.days_known = 14
    LEFT JOIN market AS paid
        ON
            a.generation = paid.generation AND a.storage_gb = paid.storage_gb AND a.edited_date::date = paid.day
            AND paid.days_known = 30
    LEFT JOIN ml.ask_daily_median_v1 AS ask
        ON a.generation = ask.generation AND a.storage_gb = ask.storage_gb AND a.edited_date::date = ask.ask_day
)

SELECT
    h.*, -- noqa: AM04
    h.price - h.sold_median_price_30d AS delta_vs_sold_median_30d,
    h.price - h.ask_median_price AS delta_vs_ask_median_day,
    CASE
        WHEN h.sold_cnt_30d >= 10 AND h.sold_median_price_30d > 0 THEN h.ptv_sold_30d
        WHEN h.ask_cnt >= 5 THEN h.ptv_ask_day
    END AS ptv_final
FROM held AS h
