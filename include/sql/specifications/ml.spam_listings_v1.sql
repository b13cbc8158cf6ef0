-- Specification: the listings with a word that marks spam on any of their rows, blanks around it and
--                capitals aside
-- Relation:      ml.spam_listings_v1
-- Key:           listing_id
-- Route:         Each listing's rows are asked together, by the list of include/spam.toml, for which
--                :spam_tokens stands.
SELECT l.listing_id
FROM "iPhone".iphone_listings AS l
GROUP BY l.listing_id
HAVING
    bool_or(lower(btrim(l.spam)) IN (:spam_tokens))
