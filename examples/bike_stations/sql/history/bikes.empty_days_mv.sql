-- History:    D, when stations ran out of bikes
-- Role:       input
-- Relation:   bikes.empty_days_mv
-- Day:        on which they did
-- Key:        station_id
SELECT
    d.day,
    d.station_id,
    d.times
FROM bikes.empty_days_mv AS d
