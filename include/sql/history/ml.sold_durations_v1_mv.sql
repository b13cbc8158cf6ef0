-- History:    D1, how long sold listings took
-- Role:       input
-- Relation:   ml.sold_durations_v1_mv
-- Day:        the day of the sale
-- Key:        none, several equal rows are legal: rows come and go, none changes
SELECT
    s.sold_day AS day,
    s.listing_id,
    s.generation,
    s.storage_gb,
    s.duration_hours
FROM ml.sold_durations_v1_mv AS s
