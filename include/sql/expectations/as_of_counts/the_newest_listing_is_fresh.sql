-- Expectation: there is a listing of the last days before the day that the run answers for
-- Relation:    ml.tom_features_v1_mv
-- Severity:    warning
-- Otherwise the sources may have stopped being filled. A listing of a later day (from a wrong clock)
-- does not count.
WITH answered AS (
    SELECT r.as_of_day
    FROM feature_store_audit.this_run AS t
    INNER JOIN feature_store_audit.run AS r ON t.dag_id = r.dag_id AND t.run_id = r.run_id
),

newest AS (
    SELECT
        r.as_of_day,
        (
            SELECT max(a.edited_date::date) FROM ml.tom_features_v1_mv AS a
            WHERE a.edited_date::date <= r.as_of_day AND isfinite(a.edited_date)
        ) AS newest_t0_day
    FROM answered AS r
)

SELECT
    n.newest_t0_day,
    n.as_of_day
FROM newest AS n
WHERE n.newest_t0_day IS NULL OR n.as_of_day - n.newest_t0_day > :most_days_without_a_listing;
