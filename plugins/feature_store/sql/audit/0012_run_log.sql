-- Runs: when each began, and its verdicts.
ALTER TABLE feature_store_audit.run RENAME TO run_log;
ALTER TABLE feature_store_audit.run_log
ADD COLUMN event_id bigint NOT NULL DEFAULT nextval('feature_store_audit.event'),
DROP CONSTRAINT run_pkey,
ADD PRIMARY KEY (event_id),
ADD COLUMN recorded_by text,
ALTER COLUMN prepared_at SET DEFAULT transaction_timestamp(),
ALTER COLUMN server_version SET DEFAULT current_setting('server_version');
ALTER TABLE feature_store_audit.run_log ALTER COLUMN recorded_by SET DEFAULT session_user;
CREATE INDEX run_log_run_idx ON feature_store_audit.run_log (dag_id, run_id, event_id);
COMMENT ON TABLE feature_store_audit.run_log IS
'A row each time a run took its turn, also if prepare then stopped it: a run that is cleared and run again begins anew.';

CREATE TABLE feature_store_audit.verdict_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    verdict text NOT NULL DEFAULT 'failed' CHECK (verdict IN ('passed', 'failed')),
    problem text,
    verdict_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    recorded_by text NOT NULL DEFAULT session_user
);
CREATE INDEX verdict_log_run_idx ON feature_store_audit.verdict_log (dag_id, run_id, event_id);
COMMENT ON TABLE feature_store_audit.verdict_log IS
'The verdicts that runs were given. Only certify says passed.';
INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, problem, verdict_at)
SELECT
    r.dag_id,
    r.run_id,
    CASE WHEN r.verdict IN ('passed', 'success') THEN 'passed' ELSE 'failed' END AS verdict,
    r.problem,
    coalesce(r.verdict_at, r.prepared_at) AS verdict_at
FROM feature_store_audit.run_log AS r
WHERE r.verdict IS NOT NULL
ORDER BY r.verdict_at;
ALTER TABLE feature_store_audit.run_log
DROP COLUMN verdict, DROP COLUMN verdict_at, DROP COLUMN problem;

CREATE VIEW feature_store_audit.run AS
SELECT
    o.dag_id,
    o.run_id,
    o.run_type,
    o.as_of_day,
    o.zone,
    o.prepared_at,
    o.server_version,
    v.verdict,
    v.verdict_at,
    v.problem,
    o.event_id
FROM (
    SELECT DISTINCT ON (l.dag_id, l.run_id) l.*
    FROM feature_store_audit.run_log AS l
    ORDER BY l.dag_id ASC, l.run_id ASC, l.event_id DESC
) AS o
LEFT JOIN LATERAL (
    SELECT g.*
    FROM feature_store_audit.verdict_log AS g
    WHERE g.dag_id = o.dag_id AND g.run_id = o.run_id AND g.event_id > o.event_id
    ORDER BY g.event_id DESC
    LIMIT 1
) AS v ON TRUE;
COMMENT ON VIEW feature_store_audit.run IS
'Each run as it last took its turn, with its as-of day and, once spoken, its verdict; problem says in words why it failed.';
