-- The record becomes append-only for the role that refreshes. What it writes goes into logs (…_log):
-- it may add rows to them and change none. The views of the old names say what holds now. What must
-- change or go (the lease, the baseline of history, old rows) passes through the functions below.
--
-- What a column's default gives comes from the server: include/roles.sql grants INSERT on the other
-- columns alone. event numbers all that is recorded: of two rows the one with the higher number was
-- written later, whatever the clock said.
CREATE SEQUENCE feature_store_audit.event AS bigint;
SELECT setval(
    'feature_store_audit.event',
    greatest(
        (SELECT coalesce(max(r.refresh_id), 0) FROM feature_store_audit.refresh AS r),
        (SELECT coalesce(max(f.finding_id), 0) FROM feature_store_audit.history_finding AS f)
    ) + 1
);

-- Which file each step was applied from, so that an edited one is noticed.
ALTER TABLE feature_store_audit.migration ADD COLUMN digest text;
COMMENT ON COLUMN feature_store_audit.migration.digest IS
'SHA-256 of the step''s file as it was applied.';

-- Refreshes.
ALTER TABLE feature_store_audit.refresh ALTER COLUMN refresh_id DROP IDENTITY;
ALTER TABLE feature_store_audit.refresh
ALTER COLUMN refresh_id SET DEFAULT nextval('feature_store_audit.event'),
ALTER COLUMN snapshot SET DEFAULT pg_current_snapshot(),
ALTER COLUMN started_at SET DEFAULT transaction_timestamp(),
ALTER COLUMN finished_at SET DEFAULT clock_timestamp();
ALTER TABLE feature_store_audit.fact ALTER COLUMN sample DROP DEFAULT;

ALTER TABLE feature_store_audit.spam_seen RENAME TO spam_seen_log;
COMMENT ON TABLE feature_store_audit.spam_seen_log IS
'The listings that carried a spam token when E-clean was refreshed, as that refresh saw them. Those of earlier refreshes go at the end of the next run.';
CREATE VIEW feature_store_audit.spam_seen AS
SELECT
    s.refresh_id,
    s.listing_id
FROM feature_store_audit.spam_seen_log AS s
INNER JOIN feature_store_audit.latest_refresh AS l ON s.refresh_id = l.refresh_id;
COMMENT ON VIEW feature_store_audit.spam_seen IS
'The listings that carried a spam token when E-clean was last refreshed, as that refresh saw them.';

CREATE FUNCTION feature_store_audit.latest_refreshes() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT coalesce(jsonb_object_agg(l.relation, l.refresh_id), '{}')
FROM feature_store_audit.latest_refresh AS l
$function$;
COMMENT ON FUNCTION feature_store_audit.latest_refreshes() IS
'The latest refresh of each relation, by its name.';

-- Runs: when each began, and its verdicts.
ALTER TABLE feature_store_audit.run RENAME TO run_log;
ALTER TABLE feature_store_audit.run_log
ADD COLUMN event_id bigint NOT NULL DEFAULT nextval('feature_store_audit.event'),
DROP CONSTRAINT run_pkey,
ADD PRIMARY KEY (event_id),
ADD COLUMN recorded_by text,
ALTER COLUMN prepared_at SET DEFAULT transaction_timestamp(),
ALTER COLUMN server_version SET DEFAULT current_setting('server_version');
ALTER TABLE feature_store_audit.run_log ALTER COLUMN recorded_by SET DEFAULT session_user;
CREATE INDEX run_log_run_idx ON feature_store_audit.run_log (dag_id, run_id, event_id);
COMMENT ON TABLE feature_store_audit.run_log IS
'A row each time a run took its turn, also if prepare then stopped it: a run that is cleared and run again begins anew.';

CREATE TABLE feature_store_audit.verdict_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    verdict text NOT NULL DEFAULT 'failed' CHECK (verdict IN ('passed', 'failed')),
    problem text,
    verdict_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    recorded_by text NOT NULL DEFAULT session_user
);
CREATE INDEX verdict_log_run_idx ON feature_store_audit.verdict_log (dag_id, run_id, event_id);
COMMENT ON TABLE feature_store_audit.verdict_log IS
'The verdicts that runs were given. Only certify says passed.';
INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, problem, verdict_at)
SELECT
    r.dag_id,
    r.run_id,
    CASE WHEN r.verdict IN ('passed', 'success') THEN 'passed' ELSE 'failed' END AS verdict,
    r.problem,
    coalesce(r.verdict_at, r.prepared_at) AS verdict_at
FROM feature_store_audit.run_log AS r
WHERE r.verdict IS NOT NULL
ORDER BY r.verdict_at;
ALTER TABLE feature_store_audit.run_log
DROP COLUMN verdict, DROP COLUMN verdict_at, DROP COLUMN problem;

CREATE VIEW feature_store_audit.run AS
SELECT
    o.dag_id,
    o.run_id,
    o.run_type,
    o.as_of_day,
    o.zone,
    o.prepared_at,
    o.server_version,
    v.verdict,
    v.verdict_at,
    v.problem,
    o.event_id
FROM (
    SELECT DISTINCT ON (l.dag_id, l.run_id) l.*
    FROM feature_store_audit.run_log AS l
    ORDER BY l.dag_id ASC, l.run_id ASC, l.event_id DESC
) AS o
LEFT JOIN LATERAL (
    SELECT g.*
    FROM feature_store_audit.verdict_log AS g
    WHERE g.dag_id = o.dag_id AND g.run_id = o.run_id AND g.event_id > o.event_id
    ORDER BY g.event_id DESC
    LIMIT 1
) AS v ON TRUE;
COMMENT ON VIEW feature_store_audit.run IS
'Each run as it last took its turn, with its as-of day and, once spoken, its verdict; problem says in words why it failed.';

-- Suites: each try to check one, and what it found.
CREATE TABLE feature_store_audit.suite_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    suite text NOT NULL,
    refreshes jsonb NOT NULL DEFAULT feature_store_audit.latest_refreshes(),
    begun_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX suite_log_run_idx ON feature_store_audit.suite_log (dag_id, run_id, suite, event_id);
COMMENT ON TABLE feature_store_audit.suite_log IS
'A row each time a run began to check a suite, with the refresh that each relation''s rows came from.';
INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite, refreshes, begun_at)
SELECT
    x.dag_id,
    x.run_id,
    x.suite,
    '{}' AS refreshes,
    min(x.at) AS begun_at
FROM (
    SELECT
        e.dag_id,
        e.run_id,
        e.suite,
        e.checked_at AS at
    FROM feature_store_audit.expectation AS e
    UNION ALL
    SELECT
        p.dag_id,
        p.run_id,
        'as_of_counts' AS suite,
        p.proven_at AS at
    FROM feature_store_audit.proof AS p
    UNION ALL
    SELECT
        n.dag_id,
        n.run_id,
        'as_of_counts' AS suite,
        transaction_timestamp() AS at
    FROM feature_store_audit.feature_nulls AS n
) AS x
GROUP BY x.dag_id, x.run_id, x.suite
ORDER BY min(x.at);

CREATE VIEW feature_store_audit.latest_suite AS
SELECT DISTINCT ON (s.dag_id, s.run_id, s.suite) s.*
FROM feature_store_audit.suite_log AS s
WHERE
    s.event_id > coalesce(
        (
            SELECT max(o.event_id) FROM feature_store_audit.run_log AS o
            WHERE o.dag_id = s.dag_id AND o.run_id = s.run_id
        ), 0
    )
ORDER BY s.dag_id ASC, s.run_id ASC, s.suite ASC, s.event_id DESC;
COMMENT ON VIEW feature_store_audit.latest_suite IS
'The latest try of each suite since the run last took its turn: what an earlier one found does not count.';

ALTER TABLE feature_store_audit.expectation RENAME TO expectation_log;
ALTER TABLE feature_store_audit.expectation_log ADD COLUMN suite_event bigint;
UPDATE feature_store_audit.expectation_log AS e SET suite_event = s.event_id
FROM feature_store_audit.suite_log AS s
WHERE e.dag_id = s.dag_id AND e.run_id = s.run_id AND e.suite = s.suite;
ALTER TABLE feature_store_audit.expectation_log
DROP CONSTRAINT expectation_pkey,
DROP COLUMN dag_id,
DROP COLUMN run_id,
DROP COLUMN suite,
ADD PRIMARY KEY (suite_event, expectation),
ADD FOREIGN KEY (suite_event) REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE,
ALTER COLUMN sample DROP DEFAULT;
COMMENT ON TABLE feature_store_audit.expectation_log IS
'What each expectation of a try of a suite found. error: it could not be checked, which says nothing about the data.';

CREATE VIEW feature_store_audit.expectation AS
SELECT
    s.dag_id,
    s.run_id,
    s.suite,
    e.expectation,
    e.relation,
    e.severity,
    e.outcome,
    e.expected,
    e.observed,
    e.sample,
    e.seconds,
    e.checked_at,
    e.suite_event
FROM feature_store_audit.expectation_log AS e
INNER JOIN feature_store_audit.latest_suite AS s ON e.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.expectation IS
'What each expectation of a run found, by the latest try of its suite.';

ALTER TABLE feature_store_audit.proof RENAME TO proof_log;
ALTER TABLE feature_store_audit.proof_log ADD COLUMN suite_event bigint;
UPDATE feature_store_audit.proof_log AS p SET suite_event = s.event_id
FROM feature_store_audit.suite_log AS s
WHERE p.dag_id = s.dag_id AND p.run_id = s.run_id AND s.suite = 'as_of_counts';
ALTER TABLE feature_store_audit.proof_log
DROP CONSTRAINT proof_pkey,
DROP COLUMN dag_id,
DROP COLUMN run_id,
ADD PRIMARY KEY (suite_event, proof),
ADD FOREIGN KEY (suite_event) REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE;
COMMENT ON TABLE feature_store_audit.proof_log IS
'What each proof of a try of a suite compared, how many rows differed, and up to 20 of them.';

CREATE VIEW feature_store_audit.proof AS
SELECT
    s.dag_id,
    s.run_id,
    p.proof,
    p.compared,
    p.broken,
    p.sample,
    p.seconds,
    p.proven_at,
    p.suite_event
FROM feature_store_audit.proof_log AS p
INNER JOIN feature_store_audit.latest_suite AS s ON p.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.proof IS
'What each proof of a run compared, by the latest try of its suite.';

ALTER TABLE feature_store_audit.feature_nulls RENAME TO feature_nulls_log;
ALTER TABLE feature_store_audit.feature_nulls_log ADD COLUMN suite_event bigint;
UPDATE feature_store_audit.feature_nulls_log AS n SET suite_event = s.event_id
FROM feature_store_audit.suite_log AS s
WHERE n.dag_id = s.dag_id AND n.run_id = s.run_id AND s.suite = 'as_of_counts';
ALTER TABLE feature_store_audit.feature_nulls_log
DROP CONSTRAINT feature_nulls_pkey,
DROP COLUMN dag_id,
DROP COLUMN run_id,
ADD PRIMARY KEY (suite_event, feature_set, feature),
ADD FOREIGN KEY (suite_event) REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE;
COMMENT ON TABLE feature_store_audit.feature_nulls_log IS
'How many rows of a feature set''s relation a try of a suite found without a value, feature by feature.';

CREATE VIEW feature_store_audit.feature_nulls AS
SELECT
    s.dag_id,
    s.run_id,
    n.feature_set,
    n.feature,
    n.row_count,
    n.null_count,
    n.suite_event
FROM feature_store_audit.feature_nulls_log AS n
INNER JOIN feature_store_audit.latest_suite AS s ON n.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.feature_nulls IS
'How many rows of a feature set''s relation a run found without a value, feature by feature.';

-- What a run used without refreshing it.
ALTER TABLE feature_store_audit.reuse RENAME TO reuse_log;
ALTER TABLE feature_store_audit.reuse_log
DROP CONSTRAINT reuse_pkey,
ADD COLUMN event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event');
CREATE INDEX reuse_log_run_idx ON feature_store_audit.reuse_log (dag_id, run_id, relation, event_id);
COMMENT ON TABLE feature_store_audit.reuse_log IS
'A row each time a run found a relation to be as an earlier refresh left it, and did not refresh it again.';
CREATE VIEW feature_store_audit.reuse AS
SELECT DISTINCT ON (u.dag_id, u.run_id, u.relation) u.*
FROM feature_store_audit.reuse_log AS u
ORDER BY u.dag_id ASC, u.run_id ASC, u.relation ASC, u.event_id DESC;
COMMENT ON VIEW feature_store_audit.reuse IS
'The relations that a run used as an earlier refresh left them. Counts only while that refresh is the relation''s latest.';

-- Certifications, and those that were withdrawn.
ALTER TABLE feature_store_audit.certified RENAME TO certification_log;
ALTER TABLE feature_store_audit.certification_log
DROP CONSTRAINT certified_pkey,
ADD COLUMN event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event');
CREATE INDEX certification_log_relation_idx
ON feature_store_audit.certification_log (relation, event_id);
CREATE INDEX certification_log_refresh_idx ON feature_store_audit.certification_log (refresh_id);
COMMENT ON TABLE feature_store_audit.certification_log IS
'What certify has certified: a row for each relation and run. Nothing else writes it.';
CREATE TABLE feature_store_audit.withdrawal_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    certification_event bigint NOT NULL UNIQUE
    REFERENCES feature_store_audit.certification_log (event_id) ON DELETE CASCADE,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    withdrawn_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
COMMENT ON TABLE feature_store_audit.withdrawal_log IS
'Certifications that were taken back, and the run that found the very rows broken. withdraw_broken writes it.';
INSERT INTO feature_store_audit.withdrawal_log (certification_event, dag_id, run_id)
SELECT
    c.event_id,
    c.dag_id,
    c.withdrawn_by
FROM feature_store_audit.certification_log AS c
WHERE c.withdrawn_by IS NOT NULL;
ALTER TABLE feature_store_audit.certification_log DROP COLUMN withdrawn_by;
CREATE VIEW feature_store_audit.certified AS
SELECT
    c.relation,
    c.refresh_id,
    c.file_node,
    c.dag_id,
    c.run_id,
    c.as_of_day,
    c.certified_at,
    w.run_id AS withdrawn_by,
    c.version,
    c.event_id
FROM (
    SELECT DISTINCT ON (l.relation) l.*
    FROM feature_store_audit.certification_log AS l
    ORDER BY l.relation ASC, l.event_id DESC
) AS c
LEFT JOIN feature_store_audit.withdrawal_log AS w ON c.event_id = w.certification_event;
COMMENT ON VIEW feature_store_audit.certified IS
'The refresh of each relation that a whole run proved last. A newer refresh of it is not proven yet: require_certified raises.';
COMMENT ON COLUMN feature_store_audit.certified.withdrawn_by IS
'The run that found the very rows broken later; NULL while they are held to be good.';

-- What each feature is made of: a row for a set whenever it is not what it was.
CREATE TABLE feature_store_audit.lineage_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    feature_set text NOT NULL,
    lineages jsonb NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    traced_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX lineage_log_set_idx ON feature_store_audit.lineage_log (feature_set, event_id);
COMMENT ON TABLE feature_store_audit.lineage_log IS
'The columns that each feature of a set is made of, by its name, and the first run that found it so.';
INSERT INTO feature_store_audit.lineage_log (feature_set, lineages, dag_id, run_id, traced_at)
SELECT
    f.feature_set,
    jsonb_object_agg(f.feature, f.lineage),
    max(f.dag_id),
    max(f.run_id),
    max(f.traced_at)
FROM feature_store_audit.feature_lineage AS f
GROUP BY f.feature_set;
DROP TABLE feature_store_audit.feature_lineage;
CREATE VIEW feature_store_audit.feature_lineage AS
SELECT
    l.feature_set,
    f.key AS feature,
    f.value AS lineage,
    l.dag_id,
    l.run_id,
    l.traced_at
FROM (
    SELECT DISTINCT ON (g.feature_set) g.*
    FROM feature_store_audit.lineage_log AS g
    ORDER BY g.feature_set ASC, g.event_id DESC
) AS l
CROSS JOIN LATERAL jsonb_each(l.lineages) AS f;
COMMENT ON VIEW feature_store_audit.feature_lineage IS
'The columns that each feature''s value is made of, by the server''s stored queries, and the first run that found it so.';
COMMENT ON COLUMN feature_store_audit.feature_lineage.lineage IS
'columns: the feature itself first. edges: places in columns, from what is read to what is made of it. decided_by: what decides whose values are taken.';

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
    changed_columns text [] NOT NULL,
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
    CHECK ((outcome = 'accepted') = (coalesce(closed_by, '') <> '' AND coalesce(reason, '') <> ''))
);
COMMENT ON TABLE feature_store_audit.history_closing_log IS
'How findings were closed. undone: the day is as it was; redefined: a new definition made it moot; accepted: by whom, and why.';
INSERT INTO feature_store_audit.history_closing_log (
    finding_id, outcome, closed_at, closed_by, reason
)
SELECT
    f.finding_id,
    f.outcome,
    f.closed_at,
    f.closed_by,
    f.reason
FROM feature_store_audit.history_finding_log AS f
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
INNER JOIN LATERAL (
    SELECT g.*
    FROM feature_store_audit.history_sighting_log AS g
    WHERE g.finding_id = f.finding_id
    ORDER BY g.event_id DESC
    LIMIT 1
) AS s ON TRUE
LEFT JOIN feature_store_audit.history_closing_log AS c ON f.finding_id = c.finding_id
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
SELECT DISTINCT ON (j.dag_id, j.run_id) j.*
FROM feature_store_audit.history_judgement_log AS j
ORDER BY j.dag_id ASC, j.run_id ASC, j.event_id DESC;
COMMENT ON VIEW feature_store_audit.history_judgement IS
'The runs that judged history: input days before settled_before are reviewed when they change, days is how many days of layers were fingerprinted.';

-- The suites without which nothing is certified.
CREATE TABLE feature_store_audit.required_suite (suite text PRIMARY KEY);
COMMENT ON TABLE feature_store_audit.required_suite IS
'The suites that a run must have checked, after its refreshes, before certify certifies.';
INSERT INTO feature_store_audit.required_suite (suite) VALUES
('uniqueness'), ('spam_absence'), ('as_of_counts');

-- Judgements and acceptances take turns: whoever may lock this table may do nothing else with it.
CREATE TABLE feature_store_audit.history_lock (only_one boolean PRIMARY KEY CHECK (only_one));
COMMENT ON TABLE feature_store_audit.history_lock IS
'Locked by a judgement of history, and while history is accepted. It never has a row.';

-- The baseline's rows have no key of their own; a publication FOR ALL TABLES needs to know them.
ALTER TABLE feature_store_audit.history_row REPLICA IDENTITY FULL;
ALTER TABLE feature_store_audit.history_change REPLICA IDENTITY FULL;
