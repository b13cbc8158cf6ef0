-- Witness of feature_store.device_count_day_v1_mv: what the image table was in the
-- refresh's own snapshot. Two image rows of one listing would count it twice.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH repeated AS (
    SELECT
        u.generation,
        u.listing_id,
        count(*) AS source_rows
    FROM feature_store.device_image_features_unified_v1 AS u
    GROUP BY u.generation, u.listing_id
    HAVING count(*) > 1
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
    coalesce((SELECT jsonb_agg(x.example) FROM example AS x), '[]') AS sample;
