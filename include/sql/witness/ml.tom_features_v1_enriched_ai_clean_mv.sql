-- Witness of ml.tom_features_v1_enriched_ai_clean_mv (E-AI): what the AI table was in the refresh's
-- own snapshot. Two AI rows of one listing fan it out; and where both are alike and hold a NULL, a
-- concurrent refresh silently drops one, so that the key of the source is looked at itself.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH repeated AS (
    SELECT
        u.listing_id,
        count(*) AS source_rows
    FROM "iPhone".iphone_ai_enrich AS u
    GROUP BY u.listing_id
    HAVING count(*) > 1
),

example AS (
    SELECT to_jsonb(r) AS example
    FROM repeated AS r
    ORDER BY r.listing_id
    LIMIT 20
),

newer AS (
    SELECT count(*) AS n
    FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
    INNER JOIN "iPhone".iphone_ai_enrich AS u ON e.listing_id = u.listing_id
    WHERE u.updated_at > e.edited_date
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings with several AI rows' AS fact,
    (SELECT count(*) FROM repeated) AS n,
    coalesce((SELECT jsonb_agg(x.example) FROM example AS x), '[]') AS sample
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'AI rows written after t0' AS fact,
    w.n,
    '[]' AS sample
FROM newer AS w;
