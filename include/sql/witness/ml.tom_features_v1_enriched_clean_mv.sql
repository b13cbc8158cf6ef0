-- Witness of ml.tom_features_v1_enriched_clean_mv (E-clean): the unknown words in the column spam, in
-- the refresh's own snapshot. Also the listings that are left out although their token means "no spam":
-- A takes only rows whose spam is NULL, so '' from a CSV file loses a row. The refresh itself has already
-- recorded which listings were flagged.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH unknown_token AS (
    SELECT
        trim(lower(l.spam)) AS token,
        count(*) AS source_rows
    FROM "iPhone".iphone_listings AS l
    LEFT JOIN ml.spam_token_v1 AS t ON trim(lower(l.spam)) = t.token
    WHERE l.spam IS NOT NULL AND t.token IS NULL
    GROUP BY trim(lower(l.spam))
),

left_out AS (
    SELECT
        trim(lower(l.spam)) AS token,
        count(*) AS source_rows,
        count(DISTINCT l.listing_id) AS listings
    FROM "iPhone".iphone_listings AS l
    WHERE
        l.spam IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM feature_store_audit.spam_seen_log AS s
            WHERE s.refresh_id = :refresh_id AND s.key = l.listing_id
        )
        AND NOT EXISTS (
            SELECT 1 FROM "iPhone".iphone_listings AS o
            WHERE o.listing_id = l.listing_id AND o.spam IS NULL
        )
    GROUP BY trim(lower(l.spam))
),

kept AS (
    SELECT count(*) AS listings FROM ml.tom_features_v1_enriched_mv
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'unknown spam tokens' AS fact,
    count(*) AS n,
    coalesce(jsonb_agg(to_jsonb(u) ORDER BY u.source_rows DESC), '[]') AS sample
FROM unknown_token AS u
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'listings left out by a token that is no spam' AS fact,
    coalesce(sum(o.listings), 0) AS n,
    coalesce(
        jsonb_agg(
            jsonb_build_object(
                'token', o.token,
                'source_rows', o.source_rows,
                'listings', o.listings,
                'listings_kept', k.listings
            )
            ORDER BY o.listings DESC
        ),
        '[]'
    ) AS sample
FROM left_out AS o
CROSS JOIN kept AS k;
