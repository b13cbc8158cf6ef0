-- Witness of ml.tom_features_v1_enriched_clean_mv (E-clean): the listings that carried a spam token
-- in the refresh's own snapshot. A flag that arrives later cannot be held against this refresh, and
-- one that was there before cannot escape it.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH seen AS (
    INSERT INTO feature_store_audit.spam_seen_log (refresh_id, listing_id)
    SELECT
        :refresh_id AS refresh_id,
        s.listing_id
    FROM ml.spam_listings_v1 AS s
    RETURNING listing_id
),

unknown_token AS (
    SELECT
        trim(lower(l.spam)) AS token,
        count(*) AS source_rows
    FROM "iPhone".iphone_listings AS l
    LEFT JOIN ml.spam_token_v1 AS t ON trim(lower(l.spam)) = t.token
    WHERE l.spam IS NOT NULL AND t.token IS NULL
    GROUP BY trim(lower(l.spam))
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings flagged as spam' AS fact,
    count(*) AS n,
    '[]' AS sample
FROM seen
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'unknown spam tokens' AS fact,
    count(*) AS n,
    coalesce(jsonb_agg(to_jsonb(u) ORDER BY u.source_rows DESC), '[]') AS sample
FROM unknown_token AS u;
