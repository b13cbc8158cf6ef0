-- Recounts: old days that were only told again, by more rows of the listings that they knew.
ALTER TABLE feature_store_audit.history_judgement_log ADD COLUMN recounts jsonb;
COMMENT ON COLUMN feature_store_audit.history_judgement_log.recounts IS
'By layer, the old days that were only recounted, which asks nobody: how many, the first and the last. NULL if there were none.';
CREATE OR REPLACE VIEW feature_store_audit.history_judgement AS
SELECT DISTINCT ON (j.dag_id, j.run_id)
    j.dag_id,
    j.run_id,
    j.as_of_day,
    j.settled_before,
    j.days,
    j.seconds,
    j.judged_at,
    j.event_id,
    j.recounts
FROM feature_store_audit.history_judgement_log AS j
ORDER BY j.dag_id ASC, j.run_id ASC, j.event_id DESC;

ALTER TABLE feature_store_audit.history_sighting_log ADD COLUMN recount boolean;
COMMENT ON COLUMN feature_store_audit.history_sighting_log.recount IS
'Since the sighting before nothing but recounts changed the day: who was mailed about that one knows this one, too.';
CREATE OR REPLACE VIEW feature_store_audit.history_finding AS
SELECT
    f.finding_id,
    f.kind,
    f.layer,
    f.relation,
    f.day,
    s.rows_came,
    s.rows_went,
    s.rows_changed,
    s.changed_columns,
    s.examples,
    s.reaches,
    s.details,
    s.row_count,
    s.fingerprint,
    f.dag_id,
    f.run_id,
    f.found_at,
    s.dag_id AS latest_dag_id,
    s.run_id AS latest_run_id,
    CASE WHEN f.kind IN ('definition', 'ai') THEN 'reported' ELSE c.outcome END AS outcome,
    CASE WHEN f.kind IN ('definition', 'ai') THEN f.found_at ELSE c.closed_at END AS closed_at,
    c.closed_by,
    c.reason,
    m.mailed_at,
    s.event_id AS sighting_event
FROM feature_store_audit.history_finding_log AS f
LEFT JOIN feature_store_audit.history_closing_log AS c ON f.finding_id = c.finding_id
INNER JOIN LATERAL (
    SELECT g.*
    FROM feature_store_audit.history_sighting_log AS g
    WHERE g.finding_id = f.finding_id AND g.event_id <= coalesce(c.sighting_event, g.event_id)
    ORDER BY g.event_id DESC
    LIMIT 1
) AS s ON TRUE
LEFT JOIN LATERAL (
    SELECT max(l.mailed_at) AS mailed_at
    FROM feature_store_audit.history_sighting_log AS g
    INNER JOIN feature_store_audit.history_mail_log AS l ON g.event_id = l.sighting_event
    WHERE
        g.finding_id = f.finding_id
        AND g.event_id <= s.event_id
        AND g.event_id >= (
            SELECT max(b.event_id)
            FROM feature_store_audit.history_sighting_log AS b
            WHERE b.finding_id = f.finding_id AND b.event_id <= s.event_id AND b.recount IS NOT TRUE
        )
) AS m ON TRUE;
