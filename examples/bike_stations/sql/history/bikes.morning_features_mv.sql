-- History:    E, what the station did before. Not the rain, which is a declared exception
-- Role:       output
-- Relation:   bikes.morning_features_mv
-- Day:        the count's t0
-- Key:        count_id
-- Depends:    A 0; D -14..-1
SELECT
    e.counted_at::date AS day,
    e.count_id,
    e.station_id,
    e.empty_14d
FROM bikes.morning_features_mv AS e
