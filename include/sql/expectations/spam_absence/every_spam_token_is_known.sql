-- Expectation: every token in the source column spam is in ml.spam_token_v1
-- Relation:    ml.tom_features_v1_enriched_clean_mv
-- Severity:    warning
-- An unknown token counts as no spam.
SELECT
    token ->> 'token' AS token,
    (token ->> 'source_rows')::bigint AS source_rows
FROM feature_store_audit.latest_refresh AS r
INNER JOIN feature_store_audit.fact AS f ON r.refresh_id = f.refresh_id
CROSS JOIN jsonb_array_elements(f.sample) AS token
WHERE
    r.relation = 'ml.tom_features_v1_enriched_clean_mv'
    AND f.fact = 'unknown spam tokens'
ORDER BY source_rows DESC;
