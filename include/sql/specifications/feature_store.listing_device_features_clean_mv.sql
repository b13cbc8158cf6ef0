-- Specification: each listing's first unflagged row, for the listings that E-clean has
-- Relation:      feature_store.listing_device_features_clean_mv (F0)
-- Key:           listing_id
-- Adopted:       as its owner defines it
-- Route:         E-clean is asked only which listings it has. The values come from A, where they begin,
--                and not by way of E and E-clean.
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
