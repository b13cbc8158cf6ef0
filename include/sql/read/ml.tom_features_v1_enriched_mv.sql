-- Relation:   ml.tom_features_v1_enriched_mv (E), t0 features with market anchors
-- Grain:      one row per listing_id of A
-- Rows:       those of ml.tom_features_v1_mv
-- As-of:      edited_date (t0); anchors use sales of strictly earlier days
-- Never sees: a sale of the listing's own day or later. Declared exception: the same-day ask median.
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_features_v1_enriched_mv AS
WITH sold AS (
    -- A cohort's sales, oldest first. The nth day and the nth hours belong to the same sale.
    SELECT
        d.generation,
        d.storage_gb,
        array_agg(d.sold_day ORDER BY d.sold_day) AS days,
        array_agg(d.duration_hours::float8 ORDER BY d.sold_day) AS hours
    FROM ml.sold_durations_v1_mv AS d
    GROUP BY d.generation, d.storage_gb
),

paid AS (
    SELECT
        d.generation,
        d.storage_gb,
        array_agg(d.sold_day ORDER BY d.sold_day) AS days,
        array_agg(d.sold_price::float8 ORDER BY d.sold_day) AS prices
    FROM ml.sold_prices_v1_mv AS d
    GROUP BY d.generation, d.storage_gb
),

cohort_day AS (
    -- Anchors depend only on the cohort and the day. So they are computed once for each pair that
    -- occurs, with the listings that they are for.
    SELECT
        f.generation,
        f.storage_gb,
        f.edited_date::date AS t0_day,
        array_agg(f.listing_id) AS listing_ids
    FROM ml.tom_features_v1_mv AS f
    WHERE
        f.generation IS NOT NULL
        AND f.storage_gb IS NOT NULL
        AND f.edited_date IS NOT NULL
    GROUP BY f.generation, f.storage_gb, f.edited_date::date
),

known AS (
    -- The embargo is here. width_bucket(day, days) counts the sales up to and including a day. So a
    -- window starts after the sales of fifteen days ago and ends with those of yesterday.
    SELECT
        c.generation,
        c.storage_gb,
        c.t0_day,
        c.listing_ids,
        sold.hours[width_bucket(c.t0_day - 15, sold.days) + 1:width_bucket(c.t0_day - 1, sold.days)] AS hours_14d,
        paid.prices[width_bucket(c.t0_day - 31, paid.days) + 1:width_bucket(c.t0_day - 1, paid.days)] AS prices_30d
    FROM cohort_day AS c
    LEFT JOIN sold ON c.generation = sold.generation AND c.storage_gb = sold.storage_gb
    LEFT JOIN paid ON c.generation = paid.generation AND c.storage_gb = paid.storage_gb
),

-- MATERIALIZED, so that windows are cut and counted once per day, not once per listing.
anchor AS MATERIALIZED (
    -- unnest is in the select lists, which stream. In FROM, each array would be stored again.
    SELECT
        k.listing_ids,
        speed.median_hours AS anchor_median_hours_14d,
        coalesce(cardinality(k.hours_14d), 0)::bigint AS anchor_14d_n,
        price.median_price AS sold_median_price_30d,
        coalesce(cardinality(k.prices_30d), 0)::bigint AS sold_cnt_30d,
        ask.ask_median_price,
        ask.ask_cnt
    FROM known AS k
    -- The linter does not see that what follows depends on k.
    INNER JOIN LATERAL ( -- noqa: ST05
        WITH sale AS (SELECT unnest(k.hours_14d) AS hours)

        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s.hours) AS median_hours
        FROM sale AS s
    ) AS speed ON TRUE
    INNER JOIN LATERAL ( -- noqa: ST05
        WITH sale AS (SELECT unnest(k.prices_30d) AS price)

        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s.price) AS median_price
        FROM sale AS s
    ) AS price ON TRUE
    LEFT JOIN ml.ask_daily_median_v1 AS ask
        ON
            k.generation = ask.generation
            AND k.storage_gb = ask.storage_gb
            AND k.t0_day = ask.ask_day
),

market AS (
    SELECT
        unnest(a.listing_ids) AS listing_id,
        a.anchor_median_hours_14d,
        a.anchor_14d_n,
        a.sold_median_price_30d,
        a.sold_cnt_30d,
        a.ask_median_price,
        a.ask_cnt
    FROM anchor AS a
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
    market.anchor_median_hours_14d,
    coalesce(market.anchor_14d_n, 0) AS anchor_14d_n,
    market.ask_median_price,
    market.ask_cnt,
    market.sold_median_price_30d,
    coalesce(market.sold_cnt_30d, 0) AS sold_cnt_30d,
    CASE
        WHEN market.sold_median_price_30d > 0 THEN f.price / market.sold_median_price_30d
    END AS ptv_sold_30d,
    CASE WHEN market.ask_median_price > 0 THEN f.price / market.ask_median_price END AS ptv_ask_day,
    f.price - market.sold_median_price_30d AS delta_vs_sold_median_30d,
    f.price - market.ask_median_price AS delta_vs_ask_median_day,
    -- The first reliable anchor: at least ten sales, else at least five asks, else none.
    CASE
        WHEN market.sold_cnt_30d >= 10 AND market.sold_median_price_30d > 0
            THEN f.price / market.sold_median_price_30d
        WHEN market.ask_cnt >= 5 AND market.ask_median_price > 0
            THEN f.price / market.ask_median_price
    END AS ptv_final
FROM ml.tom_features_v1_mv AS f
LEFT JOIN market ON f.listing_id = market.listing_id
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY f.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX tfeat_enr_v1_uq ON ml.tom_features_v1_enriched_mv (listing_id);
CREATE INDEX tfeat_enr_v1_dt ON ml.tom_features_v1_enriched_mv (edited_date, generation, storage_gb);

COMMENT ON MATERIALIZED VIEW ml.tom_features_v1_enriched_mv IS
'E: A with anchors of the listing''s cohort (generation, storage_gb) from strictly earlier days, and its price relative to them.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.anchor_median_hours_14d IS
'Median hours to sell of the cohort''s sales in the 14 days before the t0 day; NULL without a sale.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.anchor_14d_n IS
'Sales (source rows) behind anchor_median_hours_14d; 0 without one.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.ask_median_price IS
'Median price asked for the cohort on the listing''s own day; includes later asks of that day and its own. Same-day source.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_mv.ask_cnt IS
'Asks (source rows, several per listing) behind ask_median_price, rows without a price included. Same-day source.';
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
'ptv_sold_30d if it is based on 10 sales or more, else ptv_ask_day (same-day source) if it is based on 5 asks or more, else NULL.';
