-- Specification: each count of the city, with what was known that morning
-- Relation:      bikes.mornings_mv (A)
-- Key:           count_id
-- Route:         flagged and unflagged counts one after the other.
SELECT
    f.count_id,
    f.station_id,
    f.counted_at,
    f.bikes,
    f.docks
FROM city.counts AS f
WHERE f.flag IS NOT NULL
UNION ALL
SELECT
    u.count_id,
    u.station_id,
    u.counted_at,
    u.bikes,
    u.docks
FROM city.counts AS u
WHERE u.flag IS NULL
