-- Specification: each station and day on which it ran out of bikes by an unflagged count, and how often
-- Relation:      bikes.empty_days_mv (D)
-- Key:           station_id, day
-- Route:         numbers the counts within each day and keeps the last number, instead of grouping.
SELECT
    n.station_id,
    n.day,
    n.times
FROM (
    SELECT
        c.station_id,
        c.emptied_at::date AS day,
        row_number() OVER by_day AS times,
        lead(c.count_id) OVER by_day AS next_one
    FROM city.counts AS c
    WHERE num_nulls(c.flag) = 1 AND num_nonnulls(c.emptied_at) = 1
    WINDOW by_day AS (PARTITION BY c.station_id, c.emptied_at::date ORDER BY c.count_id)
) AS n
WHERE n.next_one IS NULL
