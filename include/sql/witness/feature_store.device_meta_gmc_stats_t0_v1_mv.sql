-- Witness of feature_store.device_meta_gmc_stats_t0_v1_mv (F2): the segments of its grid. If the next
-- refresh would make the grid too large, its guard uses them to say which are new.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH segment AS (
    SELECT
        c.gen_key,
        c.model_variant,
        sum(c.n) AS listings
    FROM feature_store.device_count_day_v1_mv AS c
    WHERE c.gen_key IS NOT NULL
    GROUP BY c.gen_key, c.model_variant
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'device segments' AS fact,
    count(*) AS n,
    coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.listings, s.gen_key, s.model_variant), '[]') AS sample
FROM segment AS s;
