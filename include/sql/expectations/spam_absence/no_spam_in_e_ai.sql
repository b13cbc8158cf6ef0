-- Expectation: no listing that carried a spam token when E-clean was refreshed
-- Relation:    ml.tom_features_v1_enriched_ai_clean_mv
-- Severity:    critical
SELECT e.listing_id
FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
INNER JOIN feature_store_audit.spam_seen AS s ON e.listing_id = s.listing_id
ORDER BY e.listing_id;
