-- Expectation: there is a count of the last days before the day that the run answers for
-- Relation:    bikes.mornings_mv
-- Severity:    warning
-- Otherwise the city may have stopped counting. A count of a later day (from a wrong clock) does not
-- count.
WITH answered AS (
    SELECT r.as_of_day
    FROM feature_store_audit.this_run AS t
    INNER JOIN feature_store_audit.run AS r ON t.dag_id = r.dag_id AND t.run_id = r.run_id
),

newest AS (
    SELECT
        r.as_of_day,
        (
            SELECT max(m.counted_at::date) FROM bikes.mornings_mv AS m
            WHERE m.counted_at::date <= r.as_of_day AND isfinite(m.counted_at)
        ) AS newest_day
    FROM answered AS r
)

SELECT
    n.as_of_day,
    n.newest_day
FROM newest AS n
WHERE n.newest_day IS NULL OR n.as_of_day - n.newest_day > :most_days_without_a_count;
