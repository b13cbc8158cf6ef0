-- What every refresh read and left, and what a run used without refreshing it.
ALTER TABLE feature_store_audit.refresh
ADD COLUMN inputs jsonb,
ADD COLUMN outcome text;
COMMENT ON COLUMN feature_store_audit.refresh.inputs IS
'The state of all that decided the rows, by name, read in the refresh''s own snapshot. A null in it equals nothing. NULL if it could not be read.';
COMMENT ON COLUMN feature_store_audit.refresh.outcome IS
'The state of the relation''s rows as the refresh left them: another one now means that somebody else refreshed or replaced it.';

CREATE TABLE feature_store_audit.reuse (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    relation text NOT NULL,
    refresh_id bigint NOT NULL
    REFERENCES feature_store_audit.refresh (refresh_id) ON DELETE CASCADE,
    reason text NOT NULL,
    reused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, run_id, relation)
);
COMMENT ON TABLE feature_store_audit.reuse IS
'The relations that a run found to be as an earlier refresh left them, and did not refresh again. Counts only while that refresh is the relation''s latest.';
