-- Expectation: features look as in the month before, and as when the contract was stamped
-- Relation:    feature_store_audit.feature_profile
-- Severity:    warning
-- The rows are not wrong, but they differ from those that a model was trained on. A month has drifted if
-- it moved well beyond what is usual for the feature: growing counts move every month.
WITH compared AS (
    SELECT
        p.feature_set,
        p.feature,
        p.drift_month AS distance,
        p.usual_drift AS usual,
        least(s.month_rows, s.before_rows) AS compared_rows,
        to_char(s.month, 'YYYY-MM') || ' against ' || to_char(s.before, 'YYYY-MM') AS compared
    FROM feature_store_audit.this_run AS t
    INNER JOIN feature_store_audit.profile AS s ON t.dag_id = s.dag_id AND t.run_id = s.run_id
    INNER JOIN feature_store_audit.feature_profile AS p
        ON s.suite_event = p.suite_event AND s.feature_set = p.feature_set
    WHERE p.usual_drift IS NOT NULL
    UNION ALL
    SELECT
        p.feature_set,
        p.feature,
        p.drift_stamp AS distance,
        0 AS usual,
        least(p.row_count, p.stamp_row_count) AS compared_rows,
        'all rows against those of the stamp' AS compared
    FROM feature_store_audit.this_run AS t
    INNER JOIN feature_store_audit.feature_profile AS p ON t.dag_id = p.dag_id AND t.run_id = p.run_id
)

SELECT
    d.feature_set,
    d.feature,
    d.compared,
    round(d.distance::numeric, 3) AS distance
FROM compared AS d
WHERE
    d.distance > greatest(:most_drift, :most_drift_to_usual * d.usual)
    AND d.compared_rows >= :least_rows_for_drift
ORDER BY d.distance DESC, d.feature_set ASC, d.feature ASC, d.compared ASC;
