-- Two years of nights before the only run of the record, each made of what that run left. Their trouble is
-- rare and always the same: a failure, a warning, three nights without a run, an archive loaded late.
CREATE TEMPORARY TABLE night AS
SELECT
    n, date_trunc('day', now()) - make_interval(days => n) + interval '200 minutes' AS at,
    (now() - make_interval(days => n))::date AS day,
    'scheduled__' || (now() - make_interval(days => n))::date || 'T01:20:00+00:00' AS run_id,
    n % 167 = 31 AS failed, n % 43 = 12 AS warned
FROM generate_series(1, 730) AS n
WHERE n NOT BETWEEN 140 AND 142;

INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, prepared_at,
    server_version, verdict, verdict_at, problem)
SELECT r.dag_id, n.run_id, 'scheduled', n.day, r.zone, n.at, r.server_version,
    CASE WHEN n.failed THEN 'failed' ELSE 'passed' END, n.at + interval '7 minutes',
    CASE WHEN n.failed THEN 'Failed: expectations.as_of_counts.' END
FROM feature_store_audit.run AS r CROSS JOIN night AS n;

INSERT INTO feature_store_audit.refresh (refresh_id, relation, dag_id, run_id, token, mode, row_count,
    bytes, seconds, snapshot, zone, started_at, finished_at, inputs, outcome)
OVERRIDING SYSTEM VALUE
SELECT -100 * n.n - r.refresh_id, r.relation, r.dag_id, n.run_id, 0, r.mode, r.row_count * g.share,
    r.bytes * g.share, r.seconds * g.share * (1 + 0.3 * abs(sin(n.n * r.refresh_id)) + 2 * (n.n % 91 = 7)::int),
    r.snapshot, r.zone, n.at, n.at + interval '4 minutes', r.inputs, r.outcome
FROM feature_store_audit.refresh AS r
CROSS JOIN night AS n
CROSS JOIN LATERAL (SELECT 1 - 0.55 * n.n / 730 + 0.01 * sin(n.n / 9.0) AS share) AS g;

-- Into the logs themselves: through the views of the record it would take minutes.
INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite, refreshes)
SELECT s.dag_id, n.run_id, s.suite, '{}'
FROM (SELECT DISTINCT l.dag_id, l.suite FROM feature_store_audit.suite_log AS l) AS s CROSS JOIN night AS n;

INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, relation, severity,
    outcome, expected, observed, sample, seconds, checked_at)
-- A layer that is gone: what is there now has been proven since.
SELECT s.event_id, e.expectation,
    CASE WHEN n.failed AND e.place = 3 THEN 'ml.tom_features_v0_mv' ELSE e.relation END, e.severity,
    CASE WHEN n.failed AND e.place = 3 OR n.warned AND e.severity = 'warning' AND e.place % 2 = 0
        THEN 'broken' ELSE 'met' END,
    e.expected, e.observed, '[]', e.seconds, n.at + interval '6 minutes'
FROM (
    SELECT x.*, row_number() OVER (ORDER BY x.severity, x.expectation) AS place
    FROM feature_store_audit.expectation AS x WHERE x.run_id NOT IN (SELECT y.run_id FROM night AS y)
) AS e
CROSS JOIN night AS n
INNER JOIN feature_store_audit.suite_log AS s ON n.run_id = s.run_id AND e.suite = s.suite;

INSERT INTO feature_store_audit.feature_nulls_log (suite_event, feature_set, feature, row_count, null_count)
SELECT s.event_id, f.feature_set, f.feature, f.row_count,
    least(f.row_count, f.null_count * (1 + 0.2 * sin(n.n / 40.0)) + f.row_count * 0.2 * (n.n BETWEEN 200 AND 212)::int)
FROM (
    SELECT * FROM feature_store_audit.feature_nulls AS x WHERE x.run_id NOT IN (SELECT y.run_id FROM night AS y)
) AS f
CROSS JOIN night AS n
INNER JOIN feature_store_audit.suite_log AS s ON n.run_id = s.run_id AND s.suite = 'as_of_counts';

INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, rows_came, rows_went,
    rows_changed, changed_columns, details, dag_id, run_id, found_at, latest_dag_id, latest_run_id,
    outcome, closed_at, closed_by, reason)
SELECT 'review', 'D1', 'ml.sold_durations_v1_mv', n.day - 60 - k, 4 * k, k % 3, 2, ARRAY['duration_hours'], '',
    'feature_store_refresh', n.run_id, n.at, 'feature_store_refresh', n.run_id, 'accepted', n.at, 'ann',
    'the archive of that month, loaded late'
FROM night AS n CROSS JOIN generate_series(1, 12) AS k WHERE n.n = 150
UNION ALL
SELECT 'exception', 'E-AI', 'ml.tom_features_v1_enriched_ai_clean_mv', n.day - 31, 0, 0, 7, ARRAY['damage_severity_ai'], '',
    'feature_store_refresh', n.run_id, n.at, 'feature_store_refresh', n.run_id, 'reported', n.at, NULL, NULL
FROM night AS n WHERE n.n % 6 = 0;

-- The record goes by its own numbers, and these were written last.
UPDATE feature_store_audit.run_log AS l SET event_id = -n.n FROM night AS n WHERE l.run_id = n.run_id;

DROP TABLE night;
