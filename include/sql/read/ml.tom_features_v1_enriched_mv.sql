-- Relation:   ml.tom_features_v1_enriched_mv (E), t0 features with market anchors
-- Grain:      one row per listing_id of A
-- As-of:      edited_date (t0); anchors use sales of strictly earlier days
-- Never sees: a sale of the listing's own day or later. Declared exception: the same-day ask median.
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_features_v1_enriched_mv AS
WITH cohort_day AS (
    -- Anchors depend on the cohort and the day only: work them out once for each pair that occurs.
    SELECT DISTINCT
        f.generation,
        f.storage_gb,
        f.edited_date::date AS t0_day
    FROM ml.tom_features_v1_mv AS f
    WHERE
        f.generation IS NOT NULL
        AND f.storage_gb IS NOT NULL
        AND f.edited_date IS NOT NULL
),

anchor AS (
    -- The embargo stands here: sold_day is before the t0 day, always. Each window is one stretch of
    -- the source's index.
    SELECT
        c.generation,
        c.storage_gb,
        c.t0_day,
        speed.median_hours AS anchor_median_hours_14d,
        speed.n AS anchor_14d_n,
        paid.median_price AS sold_median_price_30d,
        paid.n AS sold_cnt_30d
    FROM cohort_day AS c
    INNER JOIN LATERAL (
        SELECT
            percentile_cont(0.5) WITHIN GROUP (ORDER BY s.duration_hours) AS median_hours,
            count(*) AS n
        FROM ml.sold_durations_v1_mv AS s
        WHERE
            s.generation = c.generation
            AND s.storage_gb = c.storage_gb
            AND s.sold_day < c.t0_day
            AND s.sold_day >= c.t0_day - 14
    ) AS speed ON TRUE
    INNER JOIN LATERAL (
        SELECT
            percentile_cont(0.5) WITHIN GROUP (ORDER BY s.sold_price) AS median_price,
            count(*) AS n
        FROM ml.sold_prices_v1_mv AS s
        WHERE
            s.generation = c.generation
            AND s.storage_gb = c.storage_gb
            AND s.sold_day < c.t0_day
            AND s.sold_day >= c.t0_day - 30
    ) AS paid ON TRUE
)

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
    anchor.anchor_median_hours_14d,
    coalesce(anchor.anchor_14d_n, 0) AS anchor_14d_n,
    ask.ask_median_price,
    ask.ask_cnt,
    anchor.sold_median_price_30d,
    coalesce(anchor.sold_cnt_30d, 0) AS sold_cnt_30d,
    CASE
        WHEN anchor.sold_median_price_30d > 0 THEN f.price / anchor.sold_median_price_30d
    END AS ptv_sold_30d,
    CASE WHEN ask.ask_median_price > 0 THEN f.price / ask.ask_median_price END AS ptv_ask_day,
    f.price - anchor.sold_median_price_30d AS delta_vs_sold_median_30d,
    f.price - ask.ask_median_price AS delta_vs_ask_median_day,
    -- The anchor that is reliable: ten sales, else five asks, else none.
    CASE
        WHEN anchor.sold_cnt_30d >= 10 AND anchor.sold_median_price_30d > 0
            THEN f.price / anchor.sold_median_price_30d
        WHEN ask.ask_cnt >= 5 AND ask.ask_median_price > 0
            THEN f.price / ask.ask_median_price
    END AS ptv_final
FROM ml.tom_features_v1_mv AS f
LEFT JOIN anchor
    ON
        f.generation = anchor.generation
        AND f.storage_gb = anchor.storage_gb
        AND f.edited_date::date = anchor.t0_day
LEFT JOIN ml.ask_daily_median_v1 AS ask
    ON
        f.generation = ask.generation
        AND f.storage_gb = ask.storage_gb
        AND f.edited_date::date = ask.ask_day
WITH NO DATA;

CREATE UNIQUE INDEX tfeat_enr_v1_uq ON ml.tom_features_v1_enriched_mv (listing_id);
CREATE INDEX tfeat_enr_v1_dt ON ml.tom_features_v1_enriched_mv (edited_date, generation, storage_gb);

COMMENT ON MATERIALIZED VIEW ml.tom_features_v1_enriched_mv IS
'E: A with anchors of the listing''s cohort (generation, storage_gb) from strictly earlier days, and its price relative to them.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.anchor_median_hours_14d IS
'Median hours to sell of the cohort''s sales in the 14 days before the t0 day; NULL without a sale.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.anchor_14d_n IS
'Sales (source rows) behind anchor_median_hours_14d; 0 without one.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.sold_median_price_30d IS
'Median price of the cohort''s sales in the 30 days before the t0 day; NULL without a sale.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.sold_cnt_30d IS
'Sales (source rows) behind sold_median_price_30d; 0 without one.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.ptv_sold_30d IS
'Price to value: price / sold_median_price_30d; NULL unless that median is above 0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.ptv_ask_day IS
'Price to asks: price / ask_median_price; NULL unless that median is above 0. Same-day source.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.delta_vs_sold_median_30d IS
'price - sold_median_price_30d.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.delta_vs_ask_median_day IS
'price - ask_median_price. Same-day source.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.ptv_final IS
'ptv_sold_30d where it rests on 10 sales or more, else ptv_ask_day (same-day source) where it rests on 5 asks or more, else NULL.';
