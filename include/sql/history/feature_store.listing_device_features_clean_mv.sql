-- History:    F0, the listings of the device set
-- Role:       input
-- Relation:   feature_store.listing_device_features_clean_mv
-- Day:        the listing's t0
-- Key:        generation, listing_id
SELECT
    b.edited_date::date AS day,
    b.generation,
    b.listing_id,
    b.edited_date,
    b.model
FROM feature_store.listing_device_features_clean_mv AS b
