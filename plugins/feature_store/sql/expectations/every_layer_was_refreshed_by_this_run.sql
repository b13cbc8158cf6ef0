-- Expectation: every materialized view was refreshed by this run, or found unchanged by it
-- Relation:    feature_store_audit.refresh
-- Severity:    critical
-- A layer found unchanged counts only while that refresh is still its latest. A relation that no longer
-- has a file is not a layer: no run refreshes it, and plan names it.
WITH done AS (
    SELECT r.relation
    FROM feature_store_audit.refresh AS r
    INNER JOIN feature_store_audit.this_run AS t ON r.dag_id = t.dag_id AND r.run_id = t.run_id
    UNION
    SELECT u.relation
    FROM feature_store_audit.reuse AS u
    INNER JOIN feature_store_audit.this_run AS t ON u.dag_id = t.dag_id AND u.run_id = t.run_id
    INNER JOIN feature_store_audit.latest_refresh AS l
        ON u.relation = l.relation AND u.refresh_id = l.refresh_id
)

SELECT w.relation
FROM unnest(ARRAY[:refreshed_relations]) AS w (relation)
LEFT JOIN done AS x ON w.relation = x.relation
WHERE x.relation IS NULL
ORDER BY w.relation;
