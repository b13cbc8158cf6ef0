-- Which refresh of which relation has been proven, and how full every feature was, run by run.
CREATE TABLE feature_store_audit.certified (
    relation text PRIMARY KEY,
    refresh_id bigint NOT NULL REFERENCES feature_store_audit.refresh (refresh_id),
    file_node oid NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    as_of_day date NOT NULL,
    certified_at timestamptz NOT NULL,
    withdrawn_by text
);
COMMENT ON TABLE feature_store_audit.certified IS
'The refresh of each relation that a whole run proved last. A newer refresh of it is not proven yet: require_certified raises.';
COMMENT ON COLUMN feature_store_audit.certified.file_node IS
'The file that held the rows then: a refresh by hand, VACUUM FULL or CLUSTER brings another.';
COMMENT ON COLUMN feature_store_audit.certified.withdrawn_by IS
'The run that found the very rows broken later; NULL while they are held to be good.';

CREATE TABLE feature_store_audit.feature_nulls (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    feature_set text NOT NULL,
    feature text NOT NULL,
    row_count bigint NOT NULL,
    null_count bigint NOT NULL,
    PRIMARY KEY (dag_id, run_id, feature_set, feature)
);
COMMENT ON TABLE feature_store_audit.feature_nulls IS
'How many rows of a feature set''s relation a run found without a value, feature by feature.';
