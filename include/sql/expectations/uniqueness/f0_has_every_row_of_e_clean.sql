-- Expectation: the same listings as ml.tom_features_v1_enriched_clean_mv; of an adopted F0 no others
-- Relation:    feature_store.listing_device_features_clean_mv
-- Severity:    critical
-- A concurrent refresh silently drops identical rows that hold a NULL. Which listings an F0 that was
-- there before us leaves out is its owner's affair.
SELECT
    coalesce(mine.listing_id, theirs.listing_id) AS listing_id,
    mine.listing_id IS NULL AS is_missing
FROM feature_store.listing_device_features_clean_mv AS mine
FULL OUTER JOIN ml.tom_features_v1_enriched_clean_mv AS theirs ON mine.listing_id = theirs.listing_id
WHERE
    theirs.listing_id IS NULL
    OR (
        mine.listing_id IS NULL
        AND NOT EXISTS (
            SELECT 1
            FROM feature_store_audit.definition AS d
            WHERE
                d.object = 'feature_store.listing_device_features_clean_mv'
                AND starts_with(d.file_definition, 'adopted as it was:')
        )
    )
ORDER BY listing_id;
