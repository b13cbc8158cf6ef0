-- Expectation: the same listings as ml.tom_features_v1_mv
-- Relation:    ml.tom_features_v1_enriched_mv
-- Severity:    critical
-- A concurrent refresh silently drops identical rows that hold a NULL.
SELECT
    coalesce(mine.listing_id, theirs.listing_id) AS listing_id,
    mine.listing_id IS NULL AS is_missing
FROM ml.tom_features_v1_enriched_mv AS mine
FULL OUTER JOIN ml.tom_features_v1_mv AS theirs ON mine.listing_id = theirs.listing_id
WHERE mine.listing_id IS NULL OR theirs.listing_id IS NULL
ORDER BY listing_id;
