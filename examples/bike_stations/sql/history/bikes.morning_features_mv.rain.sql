-- History:    W, the rain of each count's day. Declared exception: as of the refresh
-- Role:       reported
-- Relation:   bikes.morning_features_mv
-- Day:        the count's t0
-- Key:        count_id
SELECT
    e.counted_at::date AS day,
    e.count_id,
    e.rain_mm
FROM bikes.morning_features_mv AS e
