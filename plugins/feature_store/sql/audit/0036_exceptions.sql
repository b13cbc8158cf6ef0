-- What history finds of the columns of a declared exception has the kind 'exception'. It was called after the
-- one exception of the first store, and no other store knows that word.
ALTER TABLE feature_store_audit.history_finding_log DROP CONSTRAINT history_finding_kind_check;
UPDATE feature_store_audit.history_finding_log SET kind = 'exception'
WHERE kind = 'ai';
ALTER TABLE feature_store_audit.history_finding_log
ADD CONSTRAINT history_finding_kind_check CHECK (kind IN ('review', 'leak', 'definition', 'exception'));
COMMENT ON COLUMN feature_store_audit.history_finding_log.kind IS
'review: an old input day changed. leak: an output day moved. definition: a baseline was made anew. exception: declared columns changed on a past day.';

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
    CASE WHEN f.kind IN ('definition', 'exception') THEN 'reported' ELSE c.outcome END AS outcome,
    CASE WHEN f.kind IN ('definition', 'exception') THEN f.found_at ELSE c.closed_at END AS closed_at,
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
