"""Nights of a store's record, written in a few statements: one night, or two years of them."""

from __future__ import annotations

from feature_store.connection import Connection
from feature_store.reporting.store.store_files import Files

# More than the store has today, as there will be more; five proofs come on top.
EXPECTATIONS = 54

_STATEMENTS = """
CREATE TEMPORARY TABLE night AS
SELECT n, now() - make_interval(days => n) AS at, 'scheduled__' || n AS run_id,
    (now() - make_interval(days => n))::date AS day, n %% 97 = 5 AS failed
FROM generate_series(%(first)s::integer, %(last)s::integer) AS n;

INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, prepared_at,
    server_version, verdict, verdict_at, problem)
SELECT 'feature_store_refresh', run_id, 'scheduled', day, 'UTC', at, '18.4',
    CASE WHEN failed THEN 'failed' ELSE 'passed' END, at + interval '9 minutes',
    CASE WHEN failed THEN 'Failed: uniqueness.' END
FROM night ORDER BY n DESC;

INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, mode, row_count, bytes,
    seconds, snapshot, zone, started_at, finished_at, inputs, outcome)
SELECT r.relation, 'feature_store_refresh', run_id, 1000 - n, r.mode, 100000 + 7 * (900 - n), 5e7,
    20 + 5 * sin(n), pg_current_snapshot(), 'UTC', at,
    at + make_interval(secs => 15 * r.place::integer),
    (
        SELECT jsonb_object_agg('input ' || i, repeat(md5(i::text), 2))
        FROM generate_series(1, 6) AS i
    ),
    md5(run_id)
FROM night CROSS JOIN unnest(%(relations)s::text[], %(modes)s::text[])
    WITH ORDINALITY AS r (relation, mode, place)
ORDER BY n DESC, r.place;

INSERT INTO feature_store_audit.expectation (dag_id, run_id, suite, expectation, relation, severity,
    outcome, expected, observed, sample, seconds, checked_at)
SELECT 'feature_store_refresh', run_id,
    (ARRAY['uniqueness', 'spam_absence', 'as_of_counts'])[e %% 3 + 1],
    'expectation_' || e || '_holds_for_every_row', (%(relations)s::text[])[e %% 14 + 1],
    CASE WHEN e %% 9 = 0 THEN 'warning' ELSE 'critical' END,
    CASE WHEN failed AND e = 4 OR n %% 31 = 2 AND e = 9 THEN 'broken' ELSE 'met' END,
    'no row is there twice, by listing_id', '0 rows of 100,000 were', '[]', 0.3,
    at + interval '8 minutes'
FROM night CROSS JOIN generate_series(1, %(expectations)s::integer) AS e
ORDER BY n DESC, e;

INSERT INTO feature_store_audit.feature_nulls (dag_id, run_id, feature_set, feature, row_count,
    null_count)
SELECT 'feature_store_refresh', run_id, f.feature_set, f.feature, 100000,
    (n * 37 + length(f.feature)) %% 20000
FROM night
CROSS JOIN unnest(%(sets)s::text[], %(features)s::text[]) AS f (feature_set, feature)
ORDER BY n DESC;

INSERT INTO feature_store_audit.feature_skew_log (suite_event, feature_set, feature, age, compared,
    differing, typical, gone)
SELECT s.event_id, 'tom_features_v1', 'sold_median_price_30d', a.age, 1000, 250, a.typical, 3
FROM feature_store_audit.latest_suite AS s
CROSS JOIN (VALUES ('under 7 days', NULL), ('all', 12.5)) AS a (age, typical)
WHERE s.suite = 'as_of_counts';

INSERT INTO feature_store_audit.feature_bins_log (suite_event, feature_set, feature, contract_hash,
    dag_id, run_id, edges, row_count, counts, made_at)
SELECT 1, f.feature_set, f.feature, 'x', 'feature_store_refresh', 'x', ARRAY[1, 2, 4], 1000,
    ARRAY[0, 500, 300, 100], '2026-01-02'
FROM unnest(%(sets)s::text[], %(features)s::text[]) AS f (feature_set, feature);

INSERT INTO feature_store_audit.profile_log (suite_event, feature_set, bins_event, row_count,
    sampled, month, month_rows, before, before_rows, seconds)
SELECT s.event_id, f.name, 1, 2000, 2000, '2026-02-01', 900, '2026-01-01', 800, 1.5
FROM feature_store_audit.latest_suite AS s
CROSS JOIN (SELECT DISTINCT unnest(%(sets)s::text[])) AS f (name)
WHERE s.suite = 'as_of_counts';

INSERT INTO feature_store_audit.feature_profile_log (suite_event, feature_set, feature, zero_count,
    distinct_count, least, most, mean, deviation, quantiles, counts, drift_month, usual_drift,
    drift_stamp)
SELECT p.suite_event, p.feature_set, f.feature, 0, 4, 1, 9, 2.5, 0.7,
    ARRAY[1, 1, 1, 1, 2, 3, 4, 9, 9],
    ARRAY[0, 200, 1000, 400], CASE f.feature WHEN 'price' THEN 0.6 ELSE 0.1 END, 0.2, 0.3
FROM feature_store_audit.profile_log AS p
INNER JOIN unnest(%(sets)s::text[], %(features)s::text[]) AS f (feature_set, feature)
    ON p.feature_set = f.feature_set;

INSERT INTO feature_store_audit.feature_month_log (suite_event, feature_set, feature, month,
    row_count, null_count, zero_count, least, most, mean, deviation, counts)
SELECT p.suite_event, p.feature_set, 'price', m.month, 900, 9, 0, 1, 9, 2.5, 0.7,
    ARRAY[0, 100, 500, 200]
FROM feature_store_audit.profile_log AS p
CROSS JOIN (VALUES ('2026-01-01'::date), ('2026-02-01')) AS m (month)
WHERE p.feature_set = 'tom_features_v1';

INSERT INTO feature_store_audit.proof (dag_id, run_id, proof, compared, broken, sample, seconds,
    proven_at)
SELECT 'feature_store_refresh', run_id, 'proof_' || p, 100000, 0, '[]', 1.5,
    at + interval '8 minutes'
FROM night CROSS JOIN generate_series(1, 5) AS p ORDER BY n DESC;

INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, rows_came, rows_went,
    rows_changed, changed_columns, examples, dag_id, run_id, found_at, latest_dag_id,
    latest_run_id, outcome, closed_at, closed_by, reason)
SELECT (ARRAY['review', 'exception', 'exception', 'definition'])[k], 'sales',
    'ml.sold_prices_v1_mv', day - 40 - k, 3, 1, 2, ARRAY['sold_price'],
    (SELECT json_agg(json_build_object('listing_id', i)) FROM generate_series(1, 20) AS i),
    'feature_store_refresh', run_id, at, 'feature_store_refresh', run_id,
    CASE WHEN k = 1 THEN 'accepted' ELSE 'reported' END, at, 'ann', 'late data'
FROM night CROSS JOIN generate_series(1, 4) AS k
ORDER BY n DESC;

DROP TABLE night;
"""


def write_nights(connection: Connection, files: Files, first: int, last: int) -> None:
    """Write nights, each so many days ago, in the order in which they would have happened.

    Args:
        connection: a session that may write the record.
        files: what the files say.
        first: days ago of the newest night.
        last: days ago of the oldest.
    """
    refreshed = [r for r in files.relations.values() if r.is_refreshed]
    contracted = [(s.name, f.name) for s in files.feature_sets for f in s.features]
    values = {
        "first": first,
        "last": last,
        "relations": [r.name for r in refreshed],
        "modes": ["blocking" if r.refresh.value == "base" else "concurrent" for r in refreshed],
        "expectations": EXPECTATIONS,
        "sets": [s for s, _ in contracted],
        "features": [f for _, f in contracted],
    }
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            used = {name: value for name, value in values.items() if f"%({name})s" in statement}
            connection.execute(statement.encode(), used)
