-- Expectation: there is a count of the last days before the day that the run answers for
-- Relation:    bikes.mornings_mv
-- Severity:    warning
SELECT
    r.as_of_day,
    max(m.counted_at::date) AS newest_day
FROM feature_store_audit.this_run AS t
INNER JOIN feature_store_audit.run AS r ON t.dag_id = r.dag_id AND t.run_id = r.run_id
CROSS JOIN bikes.mornings_mv AS m
GROUP BY r.as_of_day
HAVING r.as_of_day - max(m.counted_at::date) > :most_days_without_a_count;
