-- Proofs that a refresh made: what reads the user's tables can be compared in its snapshot alone.
ALTER TABLE feature_store_audit.proof_log
DROP CONSTRAINT proof_log_pkey,
ALTER COLUMN suite_event DROP NOT NULL,
ADD COLUMN refresh_id bigint
REFERENCES feature_store_audit.refresh (refresh_id) ON DELETE CASCADE,
ADD UNIQUE (suite_event, proof),
ADD UNIQUE (refresh_id, proof),
ADD CHECK (num_nonnulls(suite_event, refresh_id) = 1);
COMMENT ON TABLE feature_store_audit.proof_log IS
'What each proof compared, how many rows differed, and up to 20 of them: by a try of a suite, or by a refresh in its own snapshot.';

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
WHERE s.suite = 'as_of_counts';
COMMENT ON VIEW feature_store_audit.proof IS
'What each proof of the rows that a run used compared: by the latest try of its suite, or by the refresh that these rows came from.';
