-- Witness of ml.tom_features_v1_enriched_clean_mv (E-clean): the listings that carried a spam token
-- in the refresh's own snapshot. A flag that arrives later cannot be held against this refresh, and
-- one that was there before cannot escape it. Only the latest refresh needs its witness.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH outdated AS (
    DELETE FROM feature_store_audit.spam_seen
    WHERE refresh_id <> :refresh_id
)

INSERT INTO feature_store_audit.spam_seen (refresh_id, listing_id)
SELECT
    :refresh_id AS refresh_id,
    s.listing_id
FROM ml.spam_listings_v1 AS s;
