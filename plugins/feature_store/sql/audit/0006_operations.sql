-- Why a run failed, which reviews somebody was mailed about, and what retention needs.
ALTER TABLE feature_store_audit.run ADD COLUMN problem text;
COMMENT ON TABLE feature_store_audit.run IS
'Runs that took their turn, with their as-of day and, once spoken, their verdict; also those that prepare stopped.';
COMMENT ON COLUMN feature_store_audit.run.prepared_at IS
'When prepare began to look. A run that is cleared and run again begins anew.';
COMMENT ON COLUMN feature_store_audit.run.problem IS
'Why the run failed, in words; NULL if it did not, or has no verdict yet.';

ALTER TABLE feature_store_audit.history_finding ADD COLUMN mailed_at timestamptz;
-- Whoever was to be told of the reviews of before has been told.
UPDATE feature_store_audit.history_finding SET mailed_at = now()
WHERE kind = 'review';
COMMENT ON TABLE feature_store_audit.history_finding IS
'What judgements found. Open while outcome is NULL: one per layer and day, as latest_run_id saw it. What is open or accepted is kept for ever.';
COMMENT ON COLUMN feature_store_audit.history_finding.mailed_at IS
'When the mail about this review went out, as it stands now; NULL if none did.';

-- Who deletes a refresh must know who used it.
CREATE INDEX reuse_refresh_idx ON feature_store_audit.reuse (refresh_id);
