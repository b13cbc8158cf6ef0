-- Expectation: "iPhone".iphone_ai_enrich had one row per listing when it was read
-- Relation:    ml.tom_features_v1_enriched_ai_clean_mv
-- Severity:    critical
-- -1 repeated means: the refresh left no record.
SELECT
    coalesce(f.n, -1) AS repeated,
    f.sample
FROM feature_store_audit.latest_refresh AS r
LEFT JOIN feature_store_audit.fact AS f
    ON r.refresh_id = f.refresh_id AND f.fact = 'listings with several AI rows'
WHERE
    r.relation = 'ml.tom_features_v1_enriched_ai_clean_mv'
    AND f.n IS DISTINCT FROM 0;
