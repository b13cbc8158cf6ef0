-- What every refresh saw beside its rows, what every proof compared, and what every expectation found.
CREATE TABLE feature_store_audit.fact (
    refresh_id bigint NOT NULL
    REFERENCES feature_store_audit.refresh (refresh_id) ON DELETE CASCADE,
    fact text NOT NULL,
    n bigint NOT NULL,
    sample jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (refresh_id, fact)
);
COMMENT ON TABLE feature_store_audit.fact IS
'What a refresh saw in its own snapshot, counted by its witness: later checks judge by this, never by live sources.';

CREATE TABLE feature_store_audit.proof (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    proof text NOT NULL,
    compared bigint NOT NULL,
    broken bigint NOT NULL,
    sample jsonb NOT NULL,
    seconds double precision NOT NULL,
    proven_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, run_id, proof)
);
COMMENT ON TABLE feature_store_audit.proof IS
'What each proof of a run compared, how many rows differed, and up to 20 of them.';

CREATE TABLE feature_store_audit.expectation (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    suite text NOT NULL,
    expectation text NOT NULL,
    relation text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning')),
    outcome text NOT NULL CHECK (outcome IN ('met', 'broken', 'error')),
    expected text NOT NULL,
    observed text NOT NULL,
    sample jsonb NOT NULL DEFAULT '[]',
    seconds double precision NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, run_id, suite, expectation)
);
COMMENT ON TABLE feature_store_audit.expectation IS
'What each expectation of a run found. error: it could not be checked, which says nothing about the data.';

CREATE VIEW feature_store_audit.latest_refresh AS
SELECT DISTINCT ON (r.relation)
    r.relation,
    r.refresh_id,
    r.dag_id,
    r.run_id,
    r.row_count,
    r.finished_at
FROM feature_store_audit.refresh AS r
ORDER BY r.relation ASC, r.refresh_id DESC;
COMMENT ON VIEW feature_store_audit.latest_refresh IS
'The refresh that each relation''s present rows come from.';

CREATE VIEW feature_store_audit.this_run AS
SELECT
    l.dag_id,
    l.run_id
FROM feature_store_audit.lease AS l
WHERE l.run_id IS NOT NULL;
COMMENT ON VIEW feature_store_audit.this_run IS
'The run that holds the lease.';
