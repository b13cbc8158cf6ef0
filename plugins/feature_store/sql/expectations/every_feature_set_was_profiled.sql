-- Expectation: each feature set was profiled
-- Relation:    feature_store_audit.profile
-- Severity:    warning
-- A failed profile does not fail the run; rows without a value were counted nevertheless.
SELECT
    p.feature_set,
    p.problem
FROM feature_store_audit.this_run AS t
INNER JOIN feature_store_audit.profile AS p ON t.dag_id = p.dag_id AND t.run_id = p.run_id
WHERE p.problem IS NOT NULL
ORDER BY p.feature_set;
