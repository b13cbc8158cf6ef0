-- Specification: each unflagged row that has been sold and has a date of its own: the day of the sale,
--                and the hours from that date to it, below 0 where the sale came first
-- Relation:      ml.sold_durations_v1_mv (D1)
-- Key:           none
-- Route:         Computes hours from days, hours, minutes and seconds.
WITH sold AS (
    SELECT
        l.listing_id,
        l.generation,
        l.storage_gb,
        l.sold_date,
        l.sold_date - l.edited_date AS took
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL AND NOT (l.sold_date IS NULL OR l.edited_date IS NULL)
)

SELECT
    s.listing_id,
    s.generation,
    s.storage_gb,
    date_trunc('day', s.sold_date)::date AS sold_day,
    (
        86400 * extract(DAY FROM s.took) + 3600 * extract(HOUR FROM s.took)
        + 60 * extract(MINUTE FROM s.took) + extract(SECOND FROM s.took)
    ) / 3600 AS duration_hours
FROM sold AS s
