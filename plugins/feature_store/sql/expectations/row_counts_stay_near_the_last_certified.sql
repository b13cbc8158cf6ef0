-- Expectation: about as many rows as when the relation was last certified
-- Relation:    feature_store_audit.refresh
-- Severity:    warning
SELECT
    c.relation,
    before.row_count AS rows_certified,
    l.row_count AS rows_now
FROM feature_store_audit.certified AS c
INNER JOIN feature_store_audit.refresh AS before ON c.refresh_id = before.refresh_id
INNER JOIN feature_store_audit.latest_refresh AS l ON c.relation = l.relation
WHERE abs(l.row_count - before.row_count) > :most_row_count_change * before.row_count
ORDER BY c.relation;
