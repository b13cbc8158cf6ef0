-- Expectation: every row's AI columns say what the AI table said when it was read
-- Relation:    ml.tom_features_v1_enriched_ai_clean_mv
-- Severity:    warning
-- -1 differing means: the refresh left no record.
SELECT
    coalesce(f.n, -1) AS differing,
    f.sample
FROM feature_store_audit.latest_refresh AS r
LEFT JOIN feature_store_audit.fact AS f
    ON r.refresh_id = f.refresh_id AND f.fact = 'rows out of parity with the AI table'
WHERE
    r.relation = 'ml.tom_features_v1_enriched_ai_clean_mv'
    AND f.n IS DISTINCT FROM 0;
