-- Expectation: each station is counted once on a morning
-- Relation:    bikes.mornings_mv
-- Severity:    critical
SELECT
    m.station_id,
    m.counted_at::date AS day,
    count(*) AS counts
FROM bikes.mornings_mv AS m
GROUP BY m.station_id, m.counted_at::date
HAVING count(*) > 1;
