-- Witness of feature_store.device_count_day_v1_mv: what the image table was in the
-- refresh's own snapshot. Two image rows of one listing would count it twice.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH repeated AS (
    SELECT
        u.generation,
        u.listing_id,
        count(*) AS source_rows
    FROM feature_store.device_image_features_unified_v1 AS u
    WHERE u.generation IS NOT NULL AND u.listing_id IS NOT NULL -- other rows join no listing
    GROUP BY u.generation, u.listing_id
    HAVING count(*) > 1
),

nan AS (
    SELECT
        n.feature,
        n.source_rows
    FROM (
        SELECT
            count(*) FILTER (WHERE u.color_primary_vote_share::numeric = 'NaN') AS vote_share,
            count(*) FILTER (WHERE u.color_vote_margin_share::numeric = 'NaN') AS vote_margin
        FROM feature_store.device_image_features_unified_v1 AS u
    ) AS c
    CROSS JOIN
        LATERAL (
            VALUES
            ('dev_color_vote_share', c.vote_share),
            ('dev_color_vote_margin', c.vote_margin)
        ) AS n (feature, source_rows)
    WHERE n.source_rows > 0
),

example AS (
    SELECT to_jsonb(r) AS example
    FROM repeated AS r
    ORDER BY r.listing_id
    LIMIT 20
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings with several image rows' AS fact,
    (SELECT count(*) FROM repeated) AS n,
    coalesce((SELECT jsonb_agg(x.example) FROM example AS x), '[]') AS sample
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'values that are NaN in the source' AS fact,
    coalesce(sum(x.source_rows), 0) AS n,
    coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.feature), '[]') AS sample
FROM nan AS x;
