-- Specification: E's listings, all columns, without those that carry a spam token on any row of the source
-- Relation:      ml.tom_features_v1_enriched_clean_mv (E-clean)
-- Key:           listing_id
-- Route:         E-clean uses two helper views. Here the flags are read from the source itself, with the
--                list of include/spam.toml, which replaces :spam_tokens.
WITH flagged AS (
    SELECT DISTINCT l.listing_id
    FROM "iPhone".iphone_listings AS l
    WHERE lower(btrim(l.spam, ' ')) IN (:spam_tokens)
)

SELECT e.* -- noqa: AM04
FROM ml.tom_features_v1_enriched_mv AS e
LEFT JOIN flagged AS f ON e.listing_id = f.listing_id
WHERE f.listing_id IS NULL
