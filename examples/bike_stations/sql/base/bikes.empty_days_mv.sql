-- Relation:   bikes.empty_days_mv (D), when stations ran out of bikes
-- Grain:      one row per station_id and day on which it did
-- As-of:      day: known from the next day on
-- Never sees: a flagged count
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW bikes.empty_days_mv AS
SELECT
    c.station_id,
    c.emptied_at::date AS day,
    count(*) AS times
FROM city.counts AS c
WHERE c.flag IS NULL AND c.emptied_at IS NOT NULL
GROUP BY c.station_id, c.emptied_at::date
ORDER BY c.station_id, day
WITH NO DATA;

CREATE UNIQUE INDEX empty_days_mv_uq ON bikes.empty_days_mv (station_id, day);

COMMENT ON MATERIALIZED VIEW bikes.empty_days_mv IS
'D: days on which a station ran out of bikes, and how often. A reader at t0 may use earlier days only.';
