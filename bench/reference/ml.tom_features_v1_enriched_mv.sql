-- Relation:   ml.tom_features_v1_enriched_mv (E), as its documents tell it
-- Naive:      every listing looks its three anchors up by itself: three sub-selects a row, two of
--             them with a median over a window of sales. The third takes the first row that it
--             finds, as the documents do: there is one at most, but a plan may not count on it, and
--             so cannot make one join of all these looks.
CREATE MATERIALIZED VIEW ml.tom_features_v1_enriched_mv AS
SELECT
    f.listing_id,
    f.edited_date,
    f.generation,
    f.model,
    f.storage_gb,
    f.price,
    f.condition_score,
    f.battery_pct_fixed_ai,
    f.damage_severity_ai,
    f.damage_binary_ai,
    f.seller_rating,
    f.review_count,
    f.member_since_year,
    f.location_city,
    f.postal_code,
    f.title,
    f.description,
    f.title_length,
    f.description_length,
    speed.anchor_median_hours_14d,
    speed.anchor_14d_n,
    ask.ask_median_price,
    ask.ask_cnt,
    paid.sold_median_price_30d,
    paid.sold_cnt_30d,
    CASE
        WHEN paid.sold_median_price_30d > 0 THEN f.price::numeric / paid.sold_median_price_30d
    END AS ptv_sold_30d,
    CASE
        WHEN ask.ask_median_price > 0 THEN f.price::numeric / ask.ask_median_price
    END AS ptv_ask_day,
    f.price - paid.sold_median_price_30d AS delta_vs_sold_median_30d,
    f.price - ask.ask_median_price AS delta_vs_ask_median_day,
    CASE
        WHEN paid.sold_cnt_30d >= 10 AND paid.sold_median_price_30d > 0
            THEN f.price::numeric / paid.sold_median_price_30d
        WHEN ask.ask_cnt >= 5 AND ask.ask_median_price > 0
            THEN f.price::numeric / ask.ask_median_price
    END AS ptv_final
FROM ml.tom_features_v1_mv AS f
LEFT JOIN LATERAL (
    SELECT
        percentile_cont(0.5) WITHIN GROUP (ORDER BY d.duration_hours) AS anchor_median_hours_14d,
        count(*) AS anchor_14d_n
    FROM ml.sold_durations_v1_mv AS d
    WHERE
        d.generation = f.generation
        AND d.storage_gb = f.storage_gb
        AND d.sold_day < f.edited_date::date
        AND d.sold_day >= f.edited_date::date - interval '14 days'
) AS speed ON TRUE
LEFT JOIN LATERAL (
    SELECT
        a.ask_median_price,
        a.ask_cnt
    FROM ml.ask_daily_median_v1 AS a
    WHERE
        a.generation = f.generation
        AND a.storage_gb = f.storage_gb
        AND a.ask_day = f.edited_date::date
    LIMIT 1 -- noqa: AM09
) AS ask ON TRUE
LEFT JOIN LATERAL (
    SELECT
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p.sold_price) AS sold_median_price_30d,
        count(*) AS sold_cnt_30d
    FROM ml.sold_prices_v1_mv AS p
    WHERE
        p.generation = f.generation
        AND p.storage_gb = f.storage_gb
        AND p.sold_day < f.edited_date::date
        AND p.sold_day >= f.edited_date::date - interval '30 days'
) AS paid ON TRUE
WITH NO DATA;
