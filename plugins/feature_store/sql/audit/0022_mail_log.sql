-- Mails: what was about to be sent, and what became of it, so that a failed run has exactly one.
ALTER TABLE feature_store_audit.verdict_log ADD COLUMN go integer;
COMMENT ON COLUMN feature_store_audit.verdict_log.go IS
'max_tries of the task that failed: the same when Airflow tries it again, another once somebody has cleared it. NULL: another run closed the record.';

CREATE TABLE feature_store_audit.mail_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    kind text NOT NULL CHECK (kind IN ('failure', 'review')),
    verdict_event bigint NOT NULL
    REFERENCES feature_store_audit.verdict_log (event_id) ON DELETE CASCADE,
    nth integer NOT NULL CHECK (nth IN (1, 2)),
    sightings bigint[] NOT NULL,
    subject text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL DEFAULT session_user,
    UNIQUE (verdict_event, kind, nth)
);
COMMENT ON TABLE feature_store_audit.mail_log IS
'A row before the mail server is given a mail, after it has taken sender and recipients. A verdict is never told more than twice.';
COMMENT ON COLUMN feature_store_audit.mail_log.sightings IS
'Of a mail about old days that changed: the sightings that it tells of.';

CREATE TABLE feature_store_audit.mail_result_log (
    mail_event bigint PRIMARY KEY
    REFERENCES feature_store_audit.mail_log (event_id) ON DELETE CASCADE,
    sent boolean NOT NULL,
    problem text,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE feature_store_audit.mail_result_log IS
'What the mail server said of a mail. No row: it said nothing, or who sent it died, and nobody knows whether the mail came.';

CREATE VIEW feature_store_audit.mail AS
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
    r.ended_at
FROM feature_store_audit.mail_log AS m
INNER JOIN feature_store_audit.verdict_log AS v ON m.verdict_event = v.event_id
LEFT JOIN feature_store_audit.mail_result_log AS r ON m.event_id = r.mail_event;
COMMENT ON VIEW feature_store_audit.mail IS
'The mails about runs. sent: the server took it; NULL where nobody knows.';

-- Whoever was to be told of the failures of before has been told.
INSERT INTO feature_store_audit.mail_log (kind, verdict_event, nth, sightings, subject)
SELECT
    'failure' AS kind,
    v.event_id,
    1 AS nth,
    '{}' AS sightings,
    'not recorded then' AS subject
FROM feature_store_audit.verdict_log AS v
WHERE v.verdict = 'failed';
INSERT INTO feature_store_audit.mail_result_log (mail_event, sent)
SELECT
    m.event_id,
    TRUE AS sent
FROM feature_store_audit.mail_log AS m;
