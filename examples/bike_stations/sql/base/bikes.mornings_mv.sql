-- Relation:   bikes.mornings_mv (A), the morning counts
-- Grain:      one row per count_id
-- As-of:      counted_at (t0)
-- Never sees: what became of the station later that day
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW bikes.mornings_mv AS
SELECT
    c.count_id,
    c.station_id,
    c.counted_at,
    c.bikes,
    c.docks
FROM city.counts AS c
ORDER BY c.count_id
WITH NO DATA;

CREATE UNIQUE INDEX mornings_mv_uq ON bikes.mornings_mv (count_id);

COMMENT ON MATERIALIZED VIEW bikes.mornings_mv IS 'A: each morning count of a station.';
