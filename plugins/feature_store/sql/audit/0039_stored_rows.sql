-- What a blocking refresh compares is what its query gives before the lock. The refresh then runs the query
-- once more. Where a query leaves a choice open, such as between two rows of one moment, the two answers may
-- differ, and until now the second one was certified unseen. A digest holds the stored rows to the compared.
ALTER TABLE feature_store_audit.proof_log ADD COLUMN digest numeric;
COMMENT ON COLUMN feature_store_audit.proof_log.digest IS
'A sum of hashes over the rows that were compared before they were stored; NULL if stored rows were compared.';

-- As before, but where the suite found that other rows are stored than were compared, that counts.
CREATE OR REPLACE VIEW feature_store_audit.proof AS
SELECT
    s.dag_id,
    s.run_id,
    p.proof,
    p.compared,
    p.broken,
    p.sample,
    p.seconds,
    p.proven_at,
    p.suite_event
FROM feature_store_audit.proof_log AS p
INNER JOIN feature_store_audit.latest_suite AS s ON p.suite_event = s.event_id
UNION ALL
-- Those of the refreshes that the suite found, which may be an earlier run's: they are the run's now.
SELECT
    s.dag_id,
    s.run_id,
    p.proof,
    p.compared,
    p.broken,
    p.sample,
    p.seconds,
    s.begun_at AS proven_at,
    s.event_id AS suite_event
FROM feature_store_audit.latest_suite AS s
CROSS JOIN LATERAL jsonb_each_text(s.refreshes) AS r (relation, refresh_id)
INNER JOIN feature_store_audit.proof_log AS p ON r.refresh_id::bigint = p.refresh_id
INNER JOIN feature_store_audit.store AS o ON s.suite = o.proof_suite
LEFT JOIN feature_store_audit.proof_log AS f ON s.event_id = f.suite_event AND p.proof = f.proof
WHERE f.proof IS NULL;
