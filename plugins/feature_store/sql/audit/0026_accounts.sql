-- Why a run failed, as data; and which of its findings count, told in one place.
ALTER TABLE feature_store_audit.verdict_log ADD COLUMN account jsonb;
COMMENT ON COLUMN feature_store_audit.verdict_log.account IS
'Why the run failed, as data: what was raised, which tasks failed with which cause, first things first, and which never ran. NULL: only problem says it.';
ALTER TABLE feature_store_audit.expectation_log ADD COLUMN breaching bigint;
COMMENT ON COLUMN feature_store_audit.expectation_log.breaching IS
'How many rows the query of a broken expectation gave; NULL where nobody counted them.';

CREATE OR REPLACE VIEW feature_store_audit.run AS
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
    o.event_id,
    v.event_id AS verdict_event,
    v.account
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

CREATE OR REPLACE VIEW feature_store_audit.expectation AS
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
    e.suite_event,
    e.breaching
FROM feature_store_audit.expectation_log AS e
INNER JOIN feature_store_audit.latest_suite AS s ON e.suite_event = s.event_id;

-- A finding counts if it is of the rows that the run left, and of a suite that the run's last go checked.
CREATE VIEW feature_store_audit.finding AS
SELECT
    e.dag_id,
    e.run_id,
    e.suite,
    e.expectation,
    e.relation,
    e.severity,
    e.outcome,
    e.expected,
    e.observed,
    e.sample,
    e.seconds,
    e.checked_at,
    e.suite_event,
    e.breaching,
    e.suite_event >= coalesce(l.refresh_id, 0) AND NOT coalesce(
        r.verdict_event > e.suite_event AND r.account -> 'never_ran' ? ('expectations.' || e.suite), FALSE
    ) AS counts
FROM feature_store_audit.run AS r
CROSS JOIN
    LATERAL (
        SELECT max(f.refresh_id) AS refresh_id
        FROM feature_store_audit.refresh AS f
        WHERE f.dag_id = r.dag_id AND f.run_id = r.run_id
    ) AS l
INNER JOIN feature_store_audit.expectation AS e ON r.dag_id = e.dag_id AND r.run_id = e.run_id;
COMMENT ON VIEW feature_store_audit.finding IS
'What each expectation of a run found, by the latest try of its suite. counts: since the run''s last refresh, and its last go came to that suite.';
