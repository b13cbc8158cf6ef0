-- Witness of ml.sold_prices_v1_mv (D3): which listings are behind the sales of each day, in the
-- refresh's own snapshot. With it, history can tell a sale scraped again from a new one.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH known AS (
    SELECT DISTINCT
        l.sold_date::date AS day,
        l.generation,
        l.storage_gb,
        l.listing_id,
        coalesce(l.real_sold_price, l.sold_price) AS sold_price
    FROM "iPhone".iphone_listings AS l
    WHERE
        l.spam IS NULL
        AND l.sold_date IS NOT NULL
        AND l.storage_gb IS NOT NULL
        AND coalesce(l.real_sold_price, l.sold_price) IS NOT NULL
),

told AS (
    SELECT
        k.day,
        concat_ws(
            '/',
            count(*),
            sum(
                hash_record_extended(
                    row(k.generation, k.storage_gb, k.listing_id, k.sold_price), 0
                )
            )
        ) AS listings
    FROM known AS k
    GROUP BY k.day
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings behind the rows, by day' AS fact,
    count(*) AS n,
    coalesce(jsonb_object_agg(t.day, t.listings), '{}') AS sample
FROM told AS t;
