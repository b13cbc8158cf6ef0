-- Specification: the listings with a word that marks spam on any of their rows, whatever its case and the
--                blanks around it
-- Relation:      ml.spam_listings_v1
-- Key:           listing_id
-- Route:         Checks all rows of a listing together, with the list of include/spam.toml, which
--                replaces :spam_tokens.
SELECT l.listing_id
FROM "iPhone".iphone_listings AS l
GROUP BY l.listing_id
HAVING
    bool_or(lower(btrim(l.spam)) IN (:spam_tokens))
