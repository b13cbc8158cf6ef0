-- Specification: the listings with a word that marks spam on any of their rows, blanks around it and
--                capitals aside
-- Relation:      ml.spam_listings_v1
-- Key:           listing_id
-- Route:         Each listing's rows are asked together; the words stand here once more.
SELECT l.listing_id
FROM "iPhone".iphone_listings AS l
GROUP BY l.listing_id
HAVING
    bool_or(
        lower(btrim(l.spam)) IN (
            't', 'true', '1', 'yes', 'y', 'spam', 'wtb', 'wanted', 'duplicate-junk', 'junk',
            'bundled', 'below13'
        )
    )
