-- Relation:   feature_store.listing_device_features_clean_mv (F0), the listings of the device set
-- Grain:      one row per listing_id
-- Rows:       those of ml.tom_features_v1_enriched_clean_mv
-- Other key:  generation, listing_id
-- As-of:      edited_date (t0)
-- Never sees: an outcome, a flagged listing
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW feature_store.listing_device_features_clean_mv AS
SELECT
    e.generation,
    e.listing_id,
    e.edited_date,
    e.model
FROM ml.tom_features_v1_enriched_clean_mv AS e
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY e.generation, e.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX listing_device_features_clean_uq
ON feature_store.listing_device_features_clean_mv (listing_id);

COMMENT ON MATERIALIZED VIEW feature_store.listing_device_features_clean_mv IS
'F0: the listings of E-clean, with the columns that their device features are made of.';
