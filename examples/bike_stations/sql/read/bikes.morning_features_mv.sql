-- Relation:   bikes.morning_features_mv (E), t0 features with what the station did before
-- Grain:      one row per count_id of A
-- Rows:       those of bikes.mornings_mv
-- As-of:      counted_at (t0); empty_14d uses strictly earlier days
-- Never sees: the station's own day or a later one. Declared exception: the rain of the day.
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW bikes.morning_features_mv AS
WITH before AS (
    -- The embargo is here.
    SELECT
        m.count_id,
        sum(d.times)::bigint AS times
    FROM bikes.mornings_mv AS m
    INNER JOIN bikes.empty_days_mv AS d
        ON
            m.station_id = d.station_id
            AND d.day BETWEEN m.counted_at::date - 14 AND m.counted_at::date - 1
    GROUP BY m.count_id
)

SELECT
    m.count_id,
    m.counted_at,
    m.station_id,
    m.bikes,
    m.docks,
    coalesce(b.times, 0) AS empty_14d,
    w.rain_mm
FROM bikes.mornings_mv AS m
LEFT JOIN before AS b ON m.count_id = b.count_id
LEFT JOIN city.weather AS w ON m.counted_at::date = w.day::date
ORDER BY m.count_id
WITH NO DATA;

CREATE UNIQUE INDEX morning_features_mv_uq ON bikes.morning_features_mv (count_id);

COMMENT ON MATERIALIZED VIEW bikes.morning_features_mv IS
'E: A with how often the station ran out of bikes in the 14 days before, and the rain of the day.';
COMMENT ON COLUMN bikes.morning_features_mv.empty_14d IS
'Times that the station ran out of bikes in the 14 days before the t0 day; 0 if it did not.';
COMMENT ON COLUMN bikes.morning_features_mv.rain_mm IS
'Rain of the t0 day, as of the refresh.';
