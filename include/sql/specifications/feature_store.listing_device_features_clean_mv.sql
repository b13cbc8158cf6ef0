-- Specification: each listing's first unflagged row, for the listings that E-clean has
-- Relation:      feature_store.listing_device_features_clean_mv (F0)
-- Key:           listing_id
-- Adopted:       as its owner defines it, but for edited_date
-- Route:         Takes only the list of listings from E-clean. The values come straight from A, not
--                through E and E-clean.
SELECT
    a.generation,
    a.listing_id,
    a.edited_date,
    a.model
FROM ml.tom_features_v1_mv AS a
WHERE
    EXISTS (
        SELECT FROM ml.tom_features_v1_enriched_clean_mv AS e
        WHERE e.listing_id = a.listing_id
    )
