-- Suites: each try to check one, and what it found.
CREATE TABLE feature_store_audit.suite_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    suite text NOT NULL,
    refreshes jsonb NOT NULL DEFAULT feature_store_audit.latest_refreshes(),
    begun_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX suite_log_run_idx ON feature_store_audit.suite_log (dag_id, run_id, suite, event_id);
COMMENT ON TABLE feature_store_audit.suite_log IS
'A row each time a run began to check a suite, with the refresh that each relation''s rows came from.';
INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite, refreshes, begun_at)
SELECT
    x.dag_id,
    x.run_id,
    x.suite,
    '{}' AS refreshes,
    min(x.at) AS begun_at
FROM (
    SELECT
        e.dag_id,
        e.run_id,
        e.suite,
        e.checked_at AS at
    FROM feature_store_audit.expectation AS e
    UNION ALL
    SELECT
        p.dag_id,
        p.run_id,
        'as_of_counts' AS suite,
        p.proven_at AS at
    FROM feature_store_audit.proof AS p
    UNION ALL
    SELECT
        n.dag_id,
        n.run_id,
        'as_of_counts' AS suite,
        transaction_timestamp() AS at
    FROM feature_store_audit.feature_nulls AS n
) AS x
GROUP BY x.dag_id, x.run_id, x.suite
ORDER BY min(x.at);

CREATE VIEW feature_store_audit.latest_suite AS
SELECT DISTINCT ON (s.dag_id, s.run_id, s.suite)
    s.dag_id,
    s.run_id,
    s.suite,
    s.event_id,
    s.refreshes,
    s.begun_at
FROM feature_store_audit.suite_log AS s
WHERE
    s.event_id > coalesce(
        (
            SELECT max(o.event_id) FROM feature_store_audit.run_log AS o
            WHERE o.dag_id = s.dag_id AND o.run_id = s.run_id
        ), 0
    )
ORDER BY s.dag_id ASC, s.run_id ASC, s.suite ASC, s.event_id DESC;
COMMENT ON VIEW feature_store_audit.latest_suite IS
'The latest try of each suite since the run last took its turn: what an earlier one found does not count.';

ALTER TABLE feature_store_audit.expectation RENAME TO expectation_log;
ALTER TABLE feature_store_audit.expectation_log ADD COLUMN suite_event bigint;
UPDATE feature_store_audit.expectation_log AS e SET suite_event = s.event_id
FROM feature_store_audit.suite_log AS s
WHERE e.dag_id = s.dag_id AND e.run_id = s.run_id AND e.suite = s.suite;
ALTER TABLE feature_store_audit.expectation_log
DROP CONSTRAINT expectation_pkey,
DROP COLUMN dag_id,
DROP COLUMN run_id,
DROP COLUMN suite,
ADD PRIMARY KEY (suite_event, expectation),
ADD FOREIGN KEY (suite_event) REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE,
ALTER COLUMN sample DROP DEFAULT;
COMMENT ON TABLE feature_store_audit.expectation_log IS
'What each expectation of a try of a suite found. error: it could not be checked, which says nothing about the data.';

CREATE VIEW feature_store_audit.expectation AS
SELECT
    s.dag_id,
    s.run_id,
    s.suite,
    e.expectation,
    e.relation,
    e.severity,
    e.outcome,
    e.expected,
    e.observed,
    e.sample,
    e.seconds,
    e.checked_at,
    e.suite_event
FROM feature_store_audit.expectation_log AS e
INNER JOIN feature_store_audit.latest_suite AS s ON e.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.expectation IS
'What each expectation of a run found, by the latest try of its suite.';

ALTER TABLE feature_store_audit.proof RENAME TO proof_log;
ALTER TABLE feature_store_audit.proof_log ADD COLUMN suite_event bigint;
UPDATE feature_store_audit.proof_log AS p SET suite_event = s.event_id
FROM feature_store_audit.suite_log AS s
WHERE p.dag_id = s.dag_id AND p.run_id = s.run_id AND s.suite = 'as_of_counts';
ALTER TABLE feature_store_audit.proof_log
DROP CONSTRAINT proof_pkey,
DROP COLUMN dag_id,
DROP COLUMN run_id,
ADD PRIMARY KEY (suite_event, proof),
ADD FOREIGN KEY (suite_event) REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE;
COMMENT ON TABLE feature_store_audit.proof_log IS
'What each proof of a try of a suite compared, how many rows differed, and up to 20 of them.';

CREATE VIEW feature_store_audit.proof AS
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
INNER JOIN feature_store_audit.latest_suite AS s ON p.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.proof IS
'What each proof of a run compared, by the latest try of its suite.';

ALTER TABLE feature_store_audit.feature_nulls RENAME TO feature_nulls_log;
ALTER TABLE feature_store_audit.feature_nulls_log ADD COLUMN suite_event bigint;
UPDATE feature_store_audit.feature_nulls_log AS n SET suite_event = s.event_id
FROM feature_store_audit.suite_log AS s
WHERE n.dag_id = s.dag_id AND n.run_id = s.run_id AND s.suite = 'as_of_counts';
ALTER TABLE feature_store_audit.feature_nulls_log
DROP CONSTRAINT feature_nulls_pkey,
DROP COLUMN dag_id,
DROP COLUMN run_id,
ADD PRIMARY KEY (suite_event, feature_set, feature),
ADD FOREIGN KEY (suite_event) REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE;
COMMENT ON TABLE feature_store_audit.feature_nulls_log IS
'How many rows of a feature set''s relation a try of a suite found without a value, feature by feature.';

CREATE VIEW feature_store_audit.feature_nulls AS
SELECT
    s.dag_id,
    s.run_id,
    n.feature_set,
    n.feature,
    n.row_count,
    n.null_count,
    n.suite_event
FROM feature_store_audit.feature_nulls_log AS n
INNER JOIN feature_store_audit.latest_suite AS s ON n.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.feature_nulls IS
'How many rows of a feature set''s relation a run found without a value, feature by feature.';
