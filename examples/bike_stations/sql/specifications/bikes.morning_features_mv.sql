-- Specification: A's counts with how often the station ran out of bikes in the 14 days before, and the rain
--                of the day
-- Relation:      bikes.morning_features_mv (E)
-- Key:           count_id
-- Route:         days are counted back from each count one by one, instead of a range of days.
SELECT
    m.count_id,
    m.counted_at,
    m.station_id,
    m.bikes,
    m.docks,
    (
        SELECT coalesce(sum(d.times), 0)::bigint
        FROM generate_series(1, 14) AS back (days)
        INNER JOIN bikes.empty_days_mv AS d
            ON d.station_id = m.station_id AND m.counted_at::date - back.days = d.day
    ) AS empty_14d,
    (
        SELECT w.rain_mm
        FROM city.weather AS w
        WHERE w.day::date = m.counted_at::date
    ) AS rain_mm
FROM bikes.mornings_mv AS m
