-- Expectation: every materialized view has a refresh of this run
-- Relation:    feature_store_audit.refresh
-- Severity:    critical
WITH refreshed AS (
    SELECT r.relation
    FROM feature_store_audit.refresh AS r
    INNER JOIN feature_store_audit.this_run AS t ON r.dag_id = t.dag_id AND r.run_id = t.run_id
)

SELECT d.object AS relation
FROM feature_store_audit.definition AS d
INNER JOIN pg_catalog.pg_class AS c ON to_regclass(d.object) = c.oid AND c.relkind = 'm'
LEFT JOIN refreshed AS r ON d.object = r.relation
WHERE r.relation IS NULL
ORDER BY d.object;
