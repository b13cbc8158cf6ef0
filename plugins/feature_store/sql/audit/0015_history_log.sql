-- What history found: findings, each sight of the day that changed, how findings were closed, mails.
ALTER TABLE feature_store_audit.history_finding RENAME TO history_finding_log;
ALTER TABLE feature_store_audit.history_finding_log ALTER COLUMN finding_id DROP IDENTITY;
ALTER TABLE feature_store_audit.history_finding_log
ALTER COLUMN finding_id SET DEFAULT nextval('feature_store_audit.event');
CREATE TABLE feature_store_audit.history_sighting_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    finding_id bigint NOT NULL
    REFERENCES feature_store_audit.history_finding_log (finding_id) ON DELETE CASCADE,
    rows_came bigint NOT NULL,
    rows_went bigint NOT NULL,
    rows_changed bigint NOT NULL,
    changed_columns text[] NOT NULL,
    examples json NOT NULL,
    reaches jsonb NOT NULL,
    details text NOT NULL,
    row_count bigint NOT NULL,
    fingerprint bytea,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX history_sighting_log_finding_idx
ON feature_store_audit.history_sighting_log (finding_id, event_id);
COMMENT ON TABLE feature_store_audit.history_sighting_log IS
'How the day of a finding stood to its baseline each time that a run saw it change. The latest is what is accepted.';
INSERT INTO feature_store_audit.history_sighting_log (
    finding_id, rows_came, rows_went, rows_changed, changed_columns, examples, reaches, details,
    row_count, fingerprint, dag_id, run_id, seen_at
)
SELECT
    f.finding_id,
    f.rows_came,
    f.rows_went,
    f.rows_changed,
    f.changed_columns,
    f.examples,
    f.reaches,
    f.details,
    f.row_count,
    f.fingerprint,
    f.latest_dag_id,
    f.latest_run_id,
    f.found_at
FROM feature_store_audit.history_finding_log AS f
ORDER BY f.finding_id;

CREATE TABLE feature_store_audit.history_closing_log (
    finding_id bigint PRIMARY KEY
    REFERENCES feature_store_audit.history_finding_log (finding_id) ON DELETE CASCADE,
    outcome text NOT NULL CHECK (outcome IN ('accepted', 'undone', 'redefined')),
    closed_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    recorded_by text NOT NULL DEFAULT session_user,
    closed_by text,
    reason text,
    sighting_event bigint,
    CHECK ((outcome = 'accepted') = (coalesce(closed_by, '') <> '' AND coalesce(reason, '') <> ''))
);
COMMENT ON TABLE feature_store_audit.history_closing_log IS
'How findings were closed. undone: the day is as it was; redefined: a new definition made it moot; accepted: by whom, and why.';
COMMENT ON COLUMN feature_store_audit.history_closing_log.sighting_event IS
'The sighting that was accepted: what is seen later is no part of it. NULL of what nobody accepted.';
INSERT INTO feature_store_audit.history_closing_log (
    finding_id, outcome, closed_at, closed_by, reason, sighting_event
)
SELECT
    f.finding_id,
    f.outcome,
    f.closed_at,
    CASE WHEN f.outcome = 'accepted' THEN f.closed_by END AS closed_by,
    CASE WHEN f.outcome = 'accepted' THEN f.reason END AS reason,
    CASE WHEN f.outcome = 'accepted' THEN s.event_id END AS sighting_event
FROM feature_store_audit.history_finding_log AS f
INNER JOIN feature_store_audit.history_sighting_log AS s ON f.finding_id = s.finding_id
WHERE f.outcome IN ('accepted', 'undone', 'redefined');

CREATE TABLE feature_store_audit.history_mail_log (
    sighting_event bigint PRIMARY KEY
    REFERENCES feature_store_audit.history_sighting_log (event_id) ON DELETE CASCADE,
    mailed_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
COMMENT ON TABLE feature_store_audit.history_mail_log IS
'The sightings that somebody was mailed about.';
INSERT INTO feature_store_audit.history_mail_log (sighting_event, mailed_at)
SELECT
    s.event_id,
    f.mailed_at
FROM feature_store_audit.history_finding_log AS f
INNER JOIN feature_store_audit.history_sighting_log AS s ON f.finding_id = s.finding_id
WHERE f.mailed_at IS NOT NULL;

DROP INDEX feature_store_audit.history_finding_open_uq;
ALTER TABLE feature_store_audit.history_finding_log
DROP COLUMN rows_came,
DROP COLUMN rows_went,
DROP COLUMN rows_changed,
DROP COLUMN changed_columns,
DROP COLUMN examples,
DROP COLUMN reaches,
DROP COLUMN details,
DROP COLUMN row_count,
DROP COLUMN fingerprint,
DROP COLUMN latest_dag_id,
DROP COLUMN latest_run_id,
DROP COLUMN outcome,
DROP COLUMN closed_at,
DROP COLUMN closed_by,
DROP COLUMN reason,
DROP COLUMN mailed_at;
-- What waits for a person is accepted by its day.
ALTER TABLE feature_store_audit.history_finding_log
ADD CHECK (day IS NOT NULL OR kind = 'definition') NOT VALID;
CREATE INDEX history_finding_log_day_idx ON feature_store_audit.history_finding_log (layer, day);
COMMENT ON TABLE feature_store_audit.history_finding_log IS
'What judgements of history found: which day of which layer, and the run that found it first.';

CREATE VIEW feature_store_audit.history_finding AS
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
LEFT JOIN feature_store_audit.history_mail_log AS m ON s.event_id = m.sighting_event;
COMMENT ON VIEW feature_store_audit.history_finding IS
'What judgements found, as latest_run_id saw it. Open while outcome is NULL: one per layer and day. What is open or accepted is kept for ever.';
COMMENT ON COLUMN feature_store_audit.history_finding.mailed_at IS
'When the mail about this review went out, as it stands now; NULL if none did.';

ALTER TABLE feature_store_audit.history_judgement RENAME TO history_judgement_log;
ALTER TABLE feature_store_audit.history_judgement_log
DROP CONSTRAINT history_judgement_pkey,
ADD COLUMN event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event');
CREATE INDEX history_judgement_log_run_idx
ON feature_store_audit.history_judgement_log (dag_id, run_id, event_id);
CREATE VIEW feature_store_audit.history_judgement AS
SELECT DISTINCT ON (j.dag_id, j.run_id)
    j.dag_id,
    j.run_id,
    j.as_of_day,
    j.settled_before,
    j.days,
    j.seconds,
    j.judged_at,
    j.event_id
FROM feature_store_audit.history_judgement_log AS j
ORDER BY j.dag_id ASC, j.run_id ASC, j.event_id DESC;
COMMENT ON VIEW feature_store_audit.history_judgement IS
'The runs that judged history: input days before settled_before are reviewed when they change, days is how many days of layers were fingerprinted.';

-- Judgements and acceptances take turns: whoever may lock this table may do nothing else with it.
CREATE TABLE feature_store_audit.history_lock (only_one boolean PRIMARY KEY CHECK (only_one));
COMMENT ON TABLE feature_store_audit.history_lock IS
'Locked by a judgement of history, and while history is accepted. It never has a row.';

-- The baseline's rows have no key of their own; a publication FOR ALL TABLES needs to know them.
ALTER TABLE feature_store_audit.history_row REPLICA IDENTITY FULL;
ALTER TABLE feature_store_audit.history_change REPLICA IDENTITY FULL;
