-- Warnings are mailed once when they are new, and once when they are over.
ALTER TABLE feature_store_audit.mail_log
DROP CONSTRAINT mail_log_kind_check,
ADD CHECK (kind IN ('failure', 'review', 'warning')),
ADD COLUMN warnings text[];
COMMENT ON COLUMN feature_store_audit.mail_log.warnings IS
'Of a mail about warnings: all that the run had, by expectation and relation. What the next run has else is new or over.';

CREATE OR REPLACE VIEW feature_store_audit.mail AS
SELECT
    m.event_id,
    m.kind,
    v.dag_id,
    v.run_id,
    m.verdict_event,
    m.nth,
    m.sightings,
    m.subject,
    m.begun_at,
    r.sent,
    r.problem,
    r.ended_at,
    m.warnings
FROM feature_store_audit.mail_log AS m
INNER JOIN feature_store_audit.verdict_log AS v ON m.verdict_event = v.event_id
LEFT JOIN feature_store_audit.mail_result_log AS r ON m.event_id = r.mail_event;
