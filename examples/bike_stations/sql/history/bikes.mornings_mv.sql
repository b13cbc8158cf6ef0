-- History:    A, morning counts
-- Role:       input
-- Relation:   bikes.mornings_mv
-- Day:        of the count
-- Key:        count_id
SELECT
    m.counted_at::date AS day,
    m.count_id,
    m.counted_at,
    m.station_id,
    m.bikes,
    m.docks
FROM bikes.mornings_mv AS m
