-- Relation:   bikes.morning_features_clean_mv (E-clean), E without flagged counts
-- Grain:      one row per count_id
-- Rows:       those of bikes.morning_features_mv, without spam
-- As-of:      counted_at (t0)
-- Never sees: a count that is flagged, as of the refresh
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW bikes.morning_features_clean_mv AS
SELECT
    e.count_id,
    e.counted_at,
    e.station_id,
    e.bikes,
    e.docks,
    e.empty_14d,
    e.rain_mm
FROM bikes.morning_features_mv AS e
WHERE
    NOT EXISTS (
        SELECT 1 FROM city.counts AS c
        WHERE c.count_id = e.count_id AND lower(btrim(c.flag)) IN ('test', 'broken')
    )
ORDER BY e.count_id
WITH NO DATA;

CREATE UNIQUE INDEX morning_features_clean_mv_uq ON bikes.morning_features_clean_mv (count_id);

COMMENT ON MATERIALIZED VIEW bikes.morning_features_clean_mv IS
'E-clean: E without the counts that the city has flagged. What models read.';
COMMENT ON COLUMN bikes.morning_features_clean_mv.rain_mm IS
'Rain of the t0 day, as of the refresh.';
