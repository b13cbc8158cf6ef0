-- Witness of ml.ask_daily_median_v1 (D2): which listings are behind the asks of each day, in the
-- refresh's own snapshot. With it, history can tell a listing scraped again from a new one.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH known AS (
    SELECT DISTINCT
        l.edited_date::date AS day,
        l.generation,
        l.storage_gb,
        l.listing_id
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL AND l.edited_date IS NOT NULL
),

told AS (
    SELECT
        k.day,
        concat_ws(
            '/', count(*), sum(hash_record_extended(row(k.generation, k.storage_gb, k.listing_id), 0))
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
