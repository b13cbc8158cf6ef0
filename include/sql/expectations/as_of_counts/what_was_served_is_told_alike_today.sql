-- Expectation: of what was served lately few values are told otherwise today, feature by feature
-- Relation:    feature_store_audit.feature_skew
-- Severity:    warning
-- A model is trained on what history says today, or on the feature log; it was given the log's.
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
