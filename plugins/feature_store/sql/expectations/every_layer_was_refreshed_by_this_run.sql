-- Expectation: every materialized view was refreshed by this run, or found unchanged by it
-- Relation:    feature_store_audit.refresh
-- Severity:    critical
-- A layer found unchanged counts only while the refresh that it was found to hold is its latest.
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

SELECT d.object AS relation
FROM feature_store_audit.definition AS d
-- Not every object is called like a relation, and PostgreSQL 15 raises if it is asked for one.
INNER JOIN pg_catalog.pg_namespace AS n ON split_part(d.object, '.', 1) = n.nspname
INNER JOIN pg_catalog.pg_class AS c
    ON n.oid = c.relnamespace AND d.object = n.nspname || '.' || c.relname AND c.relkind = 'm'
LEFT JOIN done AS x ON d.object = x.relation
WHERE x.relation IS NULL
ORDER BY d.object;
