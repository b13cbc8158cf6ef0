-- Relation:   ml.spam_listings_v1, the listings that somebody flagged as spam
-- Grain:      one row per listing_id
-- As-of:      the moment of the query: flags arrive late, and a late flag removes a listing
-- Never sees: an outcome
-- Refresh:    none, a plain view. The one place where the spam tokens stand: E-clean leaves these
--             listings out, and the refresh records them so that a check can judge by what it saw.
CREATE VIEW ml.spam_listings_v1 AS
SELECT DISTINCT l.listing_id
FROM "iPhone".iphone_listings AS l
WHERE trim(lower(l.spam)) IN (
    't', 'true', '1', 'yes', 'y',
    'spam', 'wtb', 'wanted', 'junk', 'duplicate-junk', 'bundled', 'below13'
);

COMMENT ON VIEW ml.spam_listings_v1 IS
'Listings with a spam token on any of their rows. Unknown tokens and false, no, 0 are not spam.';
COMMENT ON COLUMN ml.spam_listings_v1.listing_id IS
'The flagged listing.';
