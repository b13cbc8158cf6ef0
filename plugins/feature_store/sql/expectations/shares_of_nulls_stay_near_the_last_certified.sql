-- Expectation: every feature has values, about as often as in the last certified run
-- Relation:    feature_store_audit.feature_nulls
-- Severity:    warning
-- What goes missing from a source shows here first: the features made of it have no values.
WITH certified_run AS (
    SELECT
        c.dag_id,
        c.run_id
    FROM feature_store_audit.certified AS c
    ORDER BY c.event_id DESC
    LIMIT 1
),

share AS (
    SELECT
        n.dag_id,
        n.run_id,
        n.feature_set,
        n.feature,
        n.null_count::float8 / n.row_count AS null_share
    FROM feature_store_audit.feature_nulls AS n
    WHERE n.row_count > 0
)

SELECT
    s.feature_set,
    s.feature,
    round(s.null_share::numeric, 3) AS null_share,
    round(before.null_share::numeric, 3) AS null_share_certified
FROM feature_store_audit.this_run AS t
INNER JOIN share AS s ON t.dag_id = s.dag_id AND t.run_id = s.run_id
LEFT JOIN certified_run AS c ON TRUE
LEFT JOIN share AS before
    ON
        c.dag_id = before.dag_id
        AND c.run_id = before.run_id
        AND s.feature_set = before.feature_set
        AND s.feature = before.feature
WHERE
    (s.null_share = 1 AND before.null_share IS DISTINCT FROM 1)
    OR abs(s.null_share - before.null_share) > :most_null_share_change
ORDER BY s.feature_set, s.feature;
