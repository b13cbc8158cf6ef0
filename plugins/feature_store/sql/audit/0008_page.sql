-- What each feature is made of, for whoever looks at the store; and the refreshes of a run, found fast.
CREATE TABLE feature_store_audit.feature_lineage (
    feature_set text NOT NULL,
    feature text NOT NULL,
    lineage jsonb NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    traced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (feature_set, feature)
);
COMMENT ON TABLE feature_store_audit.feature_lineage IS
'The columns that each feature''s value is made of, as the latest run traced them by the server''s stored queries. That run''s rows alone.';
COMMENT ON COLUMN feature_store_audit.feature_lineage.lineage IS
'columns: the feature itself first. edges: places in columns, from what is read to what is made of it. decided_by: what decides whose values are taken.';

CREATE INDEX refresh_run_idx ON feature_store_audit.refresh (run_id);
