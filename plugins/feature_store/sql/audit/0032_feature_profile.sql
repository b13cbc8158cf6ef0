-- Profiles: what the values of each feature look like, night by night and by month of t0, and how far they
-- have drifted. Nights are kept as long as their run. Months are kept of the newest profile and of the run that
-- was certified last: nothing asks for others.
CREATE TABLE feature_store_audit.profile_log (
    suite_event bigint NOT NULL
    REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE,
    feature_set text NOT NULL,
    bins_event bigint,
    row_count bigint,
    sampled bigint,
    month date,
    month_rows bigint,
    before date,
    before_rows bigint,
    seconds double precision NOT NULL,
    problem text,
    PRIMARY KEY (suite_event, feature_set),
    CHECK ((row_count IS NULL) = (problem IS NOT NULL))
);
COMMENT ON TABLE feature_store_audit.profile_log IS
'A row for each feature set and try of a suite that profiled it, or the problem that kept it from that.';
COMMENT ON COLUMN feature_store_audit.profile_log.bins_event IS
'By which bins values were counted: the try of a suite that made them.';
COMMENT ON COLUMN feature_store_audit.profile_log.sampled IS
'Rows of which distinct values and quantiles were taken; all others were counted over all rows.';
COMMENT ON COLUMN feature_store_audit.profile_log.month IS
'The newest month of t0 with enough rows, which is compared with an earlier one, before, as it was certified last.';

CREATE TABLE feature_store_audit.feature_bins_log (
    suite_event bigint NOT NULL,
    feature_set text NOT NULL,
    feature text NOT NULL,
    contract_hash text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    edges double precision[],
    levels text[],
    row_count bigint NOT NULL,
    counts bigint[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    PRIMARY KEY (suite_event, feature_set, feature),
    CHECK ((edges IS NULL) <> (levels IS NULL))
);
COMMENT ON TABLE feature_store_audit.feature_bins_log IS
'The bins of a feature while its contract''s stamp holds, and the counts of the first run under it. Kept for ever.';
COMMENT ON COLUMN feature_store_audit.feature_bins_log.edges IS
'Of numbers: a bin begins at each edge, and one lies below the first.';
COMMENT ON COLUMN feature_store_audit.feature_bins_log.levels IS
'Of texts: a bin for each level, and a last one for all others.';

CREATE TABLE feature_store_audit.feature_profile_log (
    suite_event bigint NOT NULL,
    feature_set text NOT NULL,
    feature text NOT NULL,
    zero_count bigint,
    distinct_count bigint NOT NULL,
    least double precision,
    most double precision,
    mean double precision,
    deviation double precision,
    quantiles double precision[],
    counts bigint[] NOT NULL,
    drift_month double precision,
    usual_drift double precision,
    drift_stamp double precision,
    PRIMARY KEY (suite_event, feature_set, feature),
    FOREIGN KEY (suite_event, feature_set)
    REFERENCES feature_store_audit.profile_log (suite_event, feature_set) ON DELETE CASCADE
);
COMMENT ON TABLE feature_store_audit.feature_profile_log IS
'What the values of a feature look like in all rows of its set, by each try of a suite.';
COMMENT ON COLUMN feature_store_audit.feature_profile_log.quantiles IS
'At 1, 5, 10, 25, 50, 75, 90, 95 and 99 hundredths, of the rows sampled; NULL of texts.';
COMMENT ON COLUMN feature_store_audit.feature_profile_log.counts IS
'Rows in each bin; rows in none have no value.';
COMMENT ON COLUMN feature_store_audit.feature_profile_log.drift_month IS
'Jensen-Shannon distance (0 alike, 1 nothing in common) of the newest month of t0 to the one before it, as that was certified last.';
COMMENT ON COLUMN feature_store_audit.feature_profile_log.usual_drift IS
'The largest such distance of two months that follow each other, of the twelve before; NULL while there are not three.';
COMMENT ON COLUMN feature_store_audit.feature_profile_log.drift_stamp IS
'Jensen-Shannon distance of all rows to all rows of the first run under the contract''s stamp.';

CREATE TABLE feature_store_audit.feature_month_log (
    suite_event bigint NOT NULL,
    feature_set text NOT NULL,
    feature text NOT NULL,
    month date NOT NULL,
    row_count bigint NOT NULL,
    null_count bigint NOT NULL,
    zero_count bigint,
    least double precision,
    most double precision,
    mean double precision,
    deviation double precision,
    counts bigint[] NOT NULL,
    PRIMARY KEY (suite_event, feature_set, feature, month),
    FOREIGN KEY (suite_event, feature_set)
    REFERENCES feature_store_audit.profile_log (suite_event, feature_set) ON DELETE CASCADE
);
COMMENT ON TABLE feature_store_audit.feature_month_log IS
'The same by month of t0, in the store''s time zone: of the newest profile, and of the run that was certified last.';

CREATE VIEW feature_store_audit.profile AS
SELECT
    s.dag_id,
    s.run_id,
    p.feature_set,
    p.bins_event,
    p.row_count,
    p.sampled,
    p.month,
    p.month_rows,
    p.before,
    p.before_rows,
    p.seconds,
    p.problem,
    p.suite_event
FROM feature_store_audit.profile_log AS p
INNER JOIN feature_store_audit.latest_suite AS s ON p.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.profile IS
'Which feature sets a run profiled, by the latest try of its suite.';

CREATE VIEW feature_store_audit.feature_profile AS
SELECT
    p.dag_id,
    p.run_id,
    p.feature_set,
    f.feature,
    n.row_count,
    n.null_count,
    f.zero_count,
    f.distinct_count,
    f.least,
    f.most,
    f.mean,
    f.deviation,
    f.quantiles,
    b.edges,
    b.levels,
    f.counts,
    b.row_count AS stamp_row_count,
    b.counts AS stamp_counts,
    b.made_at AS stamp_seen_at,
    f.drift_month,
    f.usual_drift,
    f.drift_stamp,
    p.suite_event
FROM feature_store_audit.profile AS p
INNER JOIN feature_store_audit.feature_profile_log AS f
    ON p.suite_event = f.suite_event AND p.feature_set = f.feature_set
INNER JOIN feature_store_audit.feature_nulls_log AS n
    ON f.suite_event = n.suite_event AND f.feature_set = n.feature_set AND f.feature = n.feature
INNER JOIN feature_store_audit.feature_bins_log AS b
    ON p.bins_event = b.suite_event AND f.feature_set = b.feature_set AND f.feature = b.feature;
COMMENT ON VIEW feature_store_audit.feature_profile IS
'What a run found the values of each feature to look like, with the bins in which they were counted.';

CREATE VIEW feature_store_audit.feature_month AS
SELECT
    s.dag_id,
    s.run_id,
    m.feature_set,
    m.feature,
    m.month,
    m.row_count,
    m.null_count,
    m.zero_count,
    m.least,
    m.most,
    m.mean,
    m.deviation,
    m.counts,
    m.suite_event
FROM feature_store_audit.feature_month_log AS m
INNER JOIN feature_store_audit.latest_suite AS s ON m.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.feature_month IS
'What a run found of each feature by month of t0: the newest run that profiled, and the one that was certified last.';

CREATE FUNCTION feature_store_audit.certified_profile(p_set text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT max(p.suite_event)
FROM (
    SELECT
        c.dag_id,
        c.run_id,
        c.event_id
    FROM feature_store_audit.certified AS c
    ORDER BY c.event_id DESC
    LIMIT 1
) AS c
INNER JOIN feature_store_audit.suite_log AS s ON c.dag_id = s.dag_id AND c.run_id = s.run_id
INNER JOIN feature_store_audit.profile_log AS p ON s.event_id = p.suite_event
WHERE p.feature_set = p_set AND p.problem IS NULL AND s.event_id < c.event_id
$function$;
COMMENT ON FUNCTION feature_store_audit.certified_profile(text) IS
'The try of a suite by which the run that was certified last profiled a set.';

-- The refresher deletes nothing by itself.
CREATE FUNCTION feature_store_audit.drop_months(p_token bigint, p_set text, p_newest bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_certified bigint := feature_store_audit.certified_profile(p_set);
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    DELETE FROM feature_store_audit.feature_month_log AS m
    WHERE
        m.feature_set = p_set
        AND m.suite_event <> p_newest
        AND m.suite_event IS DISTINCT FROM v_certified;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.drop_months(bigint, text, bigint) IS
'Deletes the months of all profiles of a set but the newest and that of the run that was certified last.';

REVOKE ALL ON FUNCTION feature_store_audit.drop_months(bigint, text, bigint) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.certified_profile(text) FROM public;
