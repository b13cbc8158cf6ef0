-- Guard:    every edited_date, sold_date and last_seen of an unflagged row to be of a year from 1 to
--           9999
-- Mend:     correct the rows, set what is not known to NULL, or flag the rows as spam. Durations and
--           days are computed from these moments. From an infinite one PostgreSQL 15 and 16 compute
--           nothing, later versions infinite labels.
SELECT
    l.listing_id,
    m.source_column,
    m.moment
FROM "iPhone".iphone_listings AS l
CROSS JOIN
    LATERAL (
        VALUES
        ('edited_date', l.edited_date),
        ('sold_date', l.sold_date),
        ('last_seen', l.last_seen)
    ) AS m (source_column, moment)
WHERE
    l.spam IS NULL
    -- One day is left free at each end, for other time zones.
    AND (
        least(l.edited_date, l.sold_date, l.last_seen) < '0001-01-02'
        OR greatest(l.edited_date, l.sold_date, l.last_seen) > '9999-12-30'
    )
    AND m.moment NOT BETWEEN '0001-01-02' AND '9999-12-30'
ORDER BY l.listing_id, m.source_column;
