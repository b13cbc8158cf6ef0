-- Retention: what may be deleted of the record, and when. Last, nobody may call what roles.sql does not give.
CREATE FUNCTION feature_store_audit.forget(
    p_days integer, OUT runs bigint, OUT refreshes bigint, OUT findings bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_before timestamptz;
    v_dags text[];
    v_runs text[];
BEGIN
    -- What the latest refresh saw is needed, what those before it saw is not.
    DELETE FROM feature_store_audit.spam_seen_log AS s
    WHERE NOT EXISTS (
        SELECT FROM feature_store_audit.latest_refresh AS l WHERE l.refresh_id = s.refresh_id
    );
    runs := 0;
    refreshes := 0;
    findings := 0;
    IF p_days IS NULL THEN
        RETURN;
    END IF;
    IF p_days NOT BETWEEN 30 AND 36500 THEN
        RAISE EXCEPTION 'nothing of the last 30 days is deleted, and % days were asked for', p_days
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_before := transaction_timestamp() - make_interval(days => p_days);

    SELECT
        coalesce(array_agg(o.dag_id), '{}'),
        coalesce(array_agg(o.run_id), '{}')
    INTO v_dags, v_runs
    FROM (
        SELECT
            r.dag_id,
            r.run_id
        FROM feature_store_audit.run AS r
        WHERE
            r.prepared_at < v_before
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.certified AS c
                WHERE c.dag_id = r.dag_id AND c.run_id = r.run_id
            )
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.lease AS l
                WHERE l.dag_id = r.dag_id AND l.run_id = r.run_id
            )
            -- What was done since under the name of an old run is as young as it is.
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.suite_log AS s
                WHERE s.dag_id = r.dag_id AND s.run_id = r.run_id AND s.begun_at >= v_before
            )
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.verdict_log AS v
                WHERE v.dag_id = r.dag_id AND v.run_id = r.run_id AND v.verdict_at >= v_before
            )
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.reuse_log AS u
                WHERE u.dag_id = r.dag_id AND u.run_id = r.run_id AND u.reused_at >= v_before
            )
        ORDER BY r.prepared_at
        LIMIT 100
    ) AS o;
    runs := cardinality(v_runs);
    -- What a try of a suite found goes with it.
    DELETE FROM feature_store_audit.suite_log AS t
    USING unnest(v_dags, v_runs) AS o (dag_id, run_id)
    WHERE t.dag_id = o.dag_id AND t.run_id = o.run_id;
    DELETE FROM feature_store_audit.reuse_log AS t
    USING unnest(v_dags, v_runs) AS o (dag_id, run_id)
    WHERE t.dag_id = o.dag_id AND t.run_id = o.run_id;
    DELETE FROM feature_store_audit.verdict_log AS t
    USING unnest(v_dags, v_runs) AS o (dag_id, run_id)
    WHERE t.dag_id = o.dag_id AND t.run_id = o.run_id;
    -- The judgement of the newest day stays: the settling window is counted from it.
    DELETE FROM feature_store_audit.history_judgement_log AS t
    USING unnest(v_dags, v_runs) AS o (dag_id, run_id)
    WHERE
        t.dag_id = o.dag_id
        AND t.run_id = o.run_id
        AND t.as_of_day < (
            SELECT max(n.as_of_day) FROM feature_store_audit.history_judgement_log AS n
            WHERE n.as_of_day <= current_date
        );
    DELETE FROM feature_store_audit.run_log AS t
    USING unnest(v_dags, v_runs) AS o (dag_id, run_id)
    WHERE t.dag_id = o.dag_id AND t.run_id = o.run_id;

    DELETE FROM feature_store_audit.certification_log AS t
    WHERE
        t.certified_at < v_before
        AND NOT EXISTS (
            SELECT FROM feature_store_audit.certified AS c WHERE c.event_id = t.event_id
        );
    DELETE FROM feature_store_audit.lineage_log AS t
    WHERE
        t.traced_at < v_before
        AND EXISTS (
            SELECT FROM feature_store_audit.lineage_log AS n
            WHERE n.feature_set = t.feature_set AND n.event_id > t.event_id
        );

    -- What a refresh saw goes with it.
    DELETE FROM feature_store_audit.refresh AS t
    WHERE t.refresh_id IN (
        SELECT r.refresh_id
        FROM feature_store_audit.refresh AS r
        WHERE
            r.finished_at < v_before
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.latest_refresh AS l
                WHERE l.refresh_id = r.refresh_id
            )
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.certification_log AS c
                WHERE c.refresh_id = r.refresh_id
            )
            AND NOT EXISTS (
                SELECT FROM feature_store_audit.reuse_log AS u WHERE u.refresh_id = r.refresh_id
            )
        ORDER BY r.refresh_id
        LIMIT 2000
    );
    GET DIAGNOSTICS refreshes = row_count;

    DELETE FROM feature_store_audit.history_finding_log AS t
    WHERE t.finding_id IN (
        SELECT f.finding_id
        FROM feature_store_audit.history_finding AS f
        WHERE f.outcome IN ('undone', 'redefined', 'reported') AND f.closed_at < v_before
        ORDER BY f.finding_id
        LIMIT 10000
    );
    GET DIAGNOSTICS findings = row_count;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.forget(integer) IS
'Deletes what is older than so many days, at least 30, and no longer needed; of NULL only what no check asks for again.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA feature_store_audit FROM public;

-- What roles were given on the tables of before, they keep no longer: include/roles.sql gives anew.
DO $block$
DECLARE
    v_role record;
BEGIN
    FOR v_role IN
        SELECT DISTINCT g.grantee
        FROM pg_catalog.pg_class AS c
        CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS g
        WHERE
            c.relnamespace = 'feature_store_audit'::pg_catalog.regnamespace
            AND g.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE pg_catalog.format(
            'REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA feature_store_audit FROM %s',
            v_role.grantee::pg_catalog.regrole
        );
    END LOOP;
END
$block$;
