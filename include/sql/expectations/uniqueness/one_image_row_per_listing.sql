-- Expectation: feature_store.device_image_features_unified_v1 had one row per listing when it was read
-- Relation:    feature_store.device_count_day_v1_mv
-- Severity:    critical
-- -1 repeated means: the refresh left no record.
SELECT
    coalesce(f.n, -1) AS repeated,
    f.sample
FROM feature_store_audit.latest_refresh AS r
LEFT JOIN feature_store_audit.fact AS f
    ON r.refresh_id = f.refresh_id AND f.fact = 'listings with several image rows'
WHERE
    r.relation = 'feature_store.device_count_day_v1_mv'
    AND f.n IS DISTINCT FROM 0;
