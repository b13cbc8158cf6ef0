-- Guard:    every unflagged row to have a listing_id, and its edited_date, sold_date and last_seen to
--           be of a year from 1 to 9999
-- Mend:     correct the rows, set a moment that is not known to NULL, or flag the rows as spam. A row
--           without listing_id is of no listing. Durations and days are computed from these moments.
--           From an infinite one PostgreSQL 15 and 16 compute nothing, later versions infinite labels.
SELECT
    l.listing_id,
    m.source_column,
    m.moment
FROM "iPhone".iphone_listings AS l
CROSS JOIN
    LATERAL (
        VALUES
        ('listing_id', NULL),
        ('edited_date', l.edited_date),
        ('sold_date', l.sold_date),
        ('last_seen', l.last_seen)
    ) AS m (source_column, moment)
WHERE
    l.spam IS NULL
    -- One day is left free at each end, for other time zones.
    AND (
        l.listing_id IS NULL
        OR least(l.edited_date, l.sold_date, l.last_seen) < '0001-01-02'
        OR greatest(l.edited_date, l.sold_date, l.last_seen) > '9999-12-30'
    )
    AND CASE m.source_column
        WHEN 'listing_id' THEN l.listing_id IS NULL
        ELSE m.moment NOT BETWEEN '0001-01-02' AND '9999-12-30'
    END
ORDER BY l.listing_id, m.source_column;
