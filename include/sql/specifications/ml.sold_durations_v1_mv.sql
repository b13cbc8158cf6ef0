-- Specification: each unflagged row that has been sold and has a date of its own: the day of the sale,
--                and the hours from that date to it, below 0 where the sale came first
-- Relation:      ml.sold_durations_v1_mv (D1)
-- Key:           none
-- Route:         Computes hours from the difference of two moments in seconds.
SELECT
    l.listing_id,
    l.generation,
    l.storage_gb,
    date_trunc('day', l.sold_date)::date AS sold_day,
    (extract(EPOCH FROM l.sold_date) - extract(EPOCH FROM l.edited_date)) / 3600 AS duration_hours
FROM "iPhone".iphone_listings AS l
WHERE l.spam IS NULL AND NOT (l.sold_date IS NULL OR l.edited_date IS NULL)
