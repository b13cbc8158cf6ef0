-- Expectation: for each feature, few recently served values are different today
-- Relation:    feature_store_audit.feature_skew
-- Severity:    warning
-- A model was given the feature log's values, but may be trained on today's values.
SELECT
    k.feature_set,
    k.feature,
    round(k.differing::numeric / k.compared, 3) AS share_of_rows,
    k.typical AS typical_difference,
    k.compared
FROM feature_store_audit.this_run AS t
INNER JOIN feature_store_audit.feature_skew AS k ON t.dag_id = k.dag_id AND t.run_id = k.run_id
WHERE k.age = 'all' AND k.differing::float8 / nullif(k.compared, 0) > :most_skew
ORDER BY k.feature_set ASC, k.differing DESC, k.feature ASC;
