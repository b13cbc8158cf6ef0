-- Relation:   ml.spam_listings_v1, the listings that somebody flagged as spam
-- Grain:      one row per listing_id
-- As-of:      the moment of the query: flags arrive late, and a late flag removes a listing
-- Never sees: an outcome
-- Refresh:    none, a plain view. E-clean leaves these listings out, and its refresh records them so
--             that a check can judge by what it saw.
CREATE VIEW ml.spam_listings_v1 AS
SELECT DISTINCT l.listing_id
FROM "iPhone".iphone_listings AS l
INNER JOIN ml.spam_token_v1 AS t ON trim(lower(l.spam)) = t.token
WHERE t.is_spam;

COMMENT ON VIEW ml.spam_listings_v1 IS
'Listings with a spam token on any of their rows. Unknown tokens and false, no, 0 are not spam.';
COMMENT ON COLUMN ml.spam_listings_v1.listing_id IS
'The flagged listing.';
