-- Expectation: a listing of the days just before the day that the run answers for
-- Relation:    ml.tom_features_v1_mv
-- Severity:    warning
-- The sources may have stopped being filled.
WITH newest AS (
    SELECT max(a.edited_date)::date AS newest_t0_day
    FROM ml.tom_features_v1_mv AS a
)

SELECT
    n.newest_t0_day,
    r.as_of_day
FROM feature_store_audit.this_run AS t
INNER JOIN feature_store_audit.run AS r ON t.dag_id = r.dag_id AND t.run_id = r.run_id
CROSS JOIN newest AS n
WHERE n.newest_t0_day IS NULL OR r.as_of_day - n.newest_t0_day > :most_days_without_a_listing;
