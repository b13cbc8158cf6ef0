-- What of the record must change or go passes through these functions. They run with their owner's
-- privileges and look names up in pg_catalog alone. include/roles.sql says who may call which.

-- The lease: whose turn it is. Its token only ever rises.
CREATE FUNCTION feature_store_audit.confirm_lease(p_dag_id text, p_run_id text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
UPDATE feature_store_audit.lease AS l SET seen_at = clock_timestamp()
WHERE l.dag_id = p_dag_id AND l.run_id = p_run_id
RETURNING l.token
$function$;
COMMENT ON FUNCTION feature_store_audit.confirm_lease(text, text) IS
'Says that the run which holds the lease is alive, and gives its token; NULL if it does not hold it.';

CREATE FUNCTION feature_store_audit.take_lease(p_dag_id text, p_run_id text, p_token bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_token bigint;
BEGIN
    UPDATE feature_store_audit.lease AS l
    SET
        token = l.token + 1,
        dag_id = p_dag_id,
        run_id = p_run_id,
        taken_at = clock_timestamp(),
        seen_at = clock_timestamp()
    WHERE l.token = p_token
    RETURNING l.token INTO v_token;
    IF v_token IS NULL THEN
        RAISE EXCEPTION 'the lease has another token than % by now', p_token
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN v_token;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.take_lease(text, text, bigint) IS
'Gives the lease to a run and raises its token, if the token is still the one that the caller saw.';

CREATE FUNCTION feature_store_audit.release_lease(p_dag_id text, p_run_id text) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH released AS (
    UPDATE feature_store_audit.lease AS l
    SET dag_id = NULL, run_id = NULL, seen_at = clock_timestamp()
    WHERE l.dag_id = p_dag_id AND l.run_id = p_run_id
    RETURNING 1
)

SELECT count(*) > 0 FROM released
$function$;
COMMENT ON FUNCTION feature_store_audit.release_lease(text, text) IS
'Gives the lease back. False if the run did not hold it.';

CREATE FUNCTION feature_store_audit.require_lease(p_token bigint)
RETURNS feature_store_audit.lease
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease;
BEGIN
    SELECT l.* INTO v_lease
    FROM feature_store_audit.lease AS l
    WHERE l.token = p_token AND l.run_id IS NOT NULL
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody holds the lease under the token %', p_token
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN v_lease;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.require_lease(bigint) IS
'Keeps the lease from changing hands until the transaction ends. Raises if its token is another one.';

-- Certification. It looks for the proofs itself.
CREATE FUNCTION feature_store_audit.unproven(p_lease feature_store_audit.lease, p_relations text [])
RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH latest AS (
    SELECT
        w.relation,
        w.place,
        l.refresh_id,
        l.run_id,
        (l.dag_id = p_lease.dag_id AND l.run_id = p_lease.run_id) OR u.relation IS NOT NULL AS is_ours
    FROM unnest(p_relations) WITH ORDINALITY AS w (relation, place)
    LEFT JOIN feature_store_audit.latest_refresh AS l ON w.relation = l.relation
    LEFT JOIN feature_store_audit.reuse AS u
        ON l.relation = u.relation AND l.refresh_id = u.refresh_id
        AND u.dag_id = p_lease.dag_id AND u.run_id = p_lease.run_id
),

checked AS (
    SELECT
        q.suite,
        s.event_id,
        s.refreshes,
        count(e.expectation) AS expectations,
        count(*) FILTER (WHERE e.severity = 'critical' AND e.outcome <> 'met') AS wrong
    FROM feature_store_audit.required_suite AS q
    LEFT JOIN feature_store_audit.latest_suite AS s
        ON q.suite = s.suite AND s.dag_id = p_lease.dag_id AND s.run_id = p_lease.run_id
    LEFT JOIN feature_store_audit.expectation_log AS e ON s.event_id = e.suite_event
    GROUP BY q.suite, s.event_id, s.refreshes
),

later AS (
    SELECT o.run_id
    FROM feature_store_audit.suite_log AS o
    WHERE
        (o.dag_id, o.run_id) <> (p_lease.dag_id, p_lease.run_id)
        AND o.event_id > (SELECT min(c.event_id) FROM checked AS c)
    ORDER BY o.event_id DESC
    LIMIT 1
),

problem AS (
    SELECT
        1 AS kind,
        0 AS place,
        'It has no record: prepare has not opened one.' AS words
    WHERE NOT EXISTS (
        SELECT FROM feature_store_audit.run AS r
        WHERE r.dag_id = p_lease.dag_id AND r.run_id = p_lease.run_id
    )
    UNION ALL
    SELECT
        1 AS kind,
        1 AS place,
        'It names no relation to certify.' AS words
    WHERE NOT EXISTS (SELECT FROM latest)
    UNION ALL
    SELECT
        2 AS kind,
        l.place,
        format(
            '%s was last refreshed %s, not by this run.',
            l.relation, coalesce('by run ' || l.run_id, 'never')
        ) AS words
    FROM latest AS l
    WHERE l.is_ours IS NOT TRUE
    UNION ALL
    SELECT
        3 AS kind,
        0 AS place,
        format('Run %s has checked the store since.', l.run_id) AS words
    FROM later AS l
    UNION ALL
    SELECT
        4 AS kind,
        row_number() OVER (ORDER BY c.suite) AS place,
        CASE
            WHEN c.expectations = 0 OR EXISTS (
                SELECT FROM latest AS l
                WHERE (c.refreshes ->> l.relation)::bigint IS DISTINCT FROM l.refresh_id
            )
                THEN format('The suite %s has not been checked since the last refresh.', c.suite)
            ELSE format('The suite %s has critical findings: %s.', c.suite, c.wrong)
        END AS words
    FROM checked AS c
    WHERE
        c.expectations = 0
        OR c.wrong > 0
        OR EXISTS (
            SELECT FROM latest AS l
            WHERE (c.refreshes ->> l.relation)::bigint IS DISTINCT FROM l.refresh_id
        )
)

SELECT p.words FROM problem AS p ORDER BY p.kind, p.place
$function$;
COMMENT ON FUNCTION feature_store_audit.unproven(feature_store_audit.lease, text []) IS
'What keeps a run from certifying these relations, by the record, in words.';

CREATE FUNCTION feature_store_audit.certify(p_token bigint, p_relations text []) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_problems text[];
    v_view record;
    v_rows text;
    v_names text[] := '{}';
    v_versions text[] := '{}';
BEGIN
    SELECT coalesce(array_agg(u.words), '{}') INTO v_problems
    FROM feature_store_audit.unproven(v_lease, p_relations) AS u (words);

    -- Are the rows those that the refresh left? Only REFRESH, GRANT and ALTER write a view's row of
    -- pg_class anew; where none of them did, nobody has to look.
    FOR v_view IN
        SELECT
            w.relation,
            c.oid::regclass AS view,
            c.xmin::text AS version,
            r.version AS left_version,
            r.outcome
        FROM unnest(p_relations) AS w (relation)
        LEFT JOIN feature_store_audit.latest_refresh AS l ON w.relation = l.relation
        LEFT JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id
        LEFT JOIN (
            pg_class AS c
            INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid AND c.relkind = 'm'
        ) ON w.relation = n.nspname || '.' || c.relname
    LOOP
        IF v_view.view IS NULL THEN
            v_problems := v_problems || format('%s is no materialized view.', v_view.relation);
            CONTINUE;
        END IF;
        v_names := v_names || v_view.relation;
        v_versions := v_versions || v_view.version;
        CONTINUE WHEN v_view.outcome IS NULL OR v_view.version = v_view.left_version;
        EXECUTE format(
            'SELECT concat_ws(''/'', count(*), sum(hashtidextended(t.ctid, t.xmin::text::bigint))) FROM ONLY %s AS t',
            v_view.view
        ) INTO v_rows;
        IF right(v_view.outcome, length(v_rows) + 1) IS DISTINCT FROM '/' || v_rows THEN
            v_problems := v_problems || format(
                '%s has rows that are not those that this run proved: somebody has refreshed it by hand.',
                v_view.relation
            );
        END IF;
    END LOOP;

    IF v_problems <> '{}' THEN
        RETURN QUERY SELECT p.words FROM unnest(v_problems) AS p (words);
        RETURN;
    END IF;

    INSERT INTO feature_store_audit.certification_log (
        relation, refresh_id, file_node, dag_id, run_id, as_of_day, certified_at, version
    )
    SELECT
        v.relation,
        l.refresh_id,
        pg_relation_filenode(c.oid),
        r.dag_id,
        r.run_id,
        r.as_of_day,
        -- As old as what it rests on: nobody makes an old run young by clearing its last task.
        (
            SELECT min(e.checked_at)
            FROM feature_store_audit.expectation AS e
            INNER JOIN feature_store_audit.required_suite AS q ON e.suite = q.suite
            WHERE e.dag_id = r.dag_id AND e.run_id = r.run_id
        ),
        v.version
    FROM unnest(v_names, v_versions) AS v (relation, version)
    INNER JOIN feature_store_audit.latest_refresh AS l ON v.relation = l.relation
    INNER JOIN feature_store_audit.run AS r
        ON r.dag_id = v_lease.dag_id AND r.run_id = v_lease.run_id
    INNER JOIN pg_class AS c ON c.relkind = 'm'
    INNER JOIN pg_namespace AS n
        ON c.relnamespace = n.oid AND v.relation = n.nspname || '.' || c.relname;
    INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict)
    VALUES (v_lease.dag_id, v_lease.run_id, 'passed');
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.certify(bigint, text []) IS
'Certifies the rows that these relations have now and says that the run passed, if the record proves it; else gives what does not, and writes nothing.';

CREATE FUNCTION feature_store_audit.withdraw_broken(p_dag_id text, p_run_id text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
INSERT INTO feature_store_audit.withdrawal_log (certification_event, dag_id, run_id)
SELECT
    c.event_id,
    p_dag_id,
    p_run_id
FROM feature_store_audit.certified AS c
WHERE
    c.withdrawn_by IS NULL
    AND (
        EXISTS (
            SELECT
            FROM feature_store_audit.expectation AS e
            INNER JOIN feature_store_audit.suite_log AS s ON e.suite_event = s.event_id
            WHERE
                e.dag_id = p_dag_id
                AND e.run_id = p_run_id
                AND e.relation = c.relation
                AND e.severity = 'critical'
                AND e.outcome = 'broken'
                -- Of the very rows that are certified, not of others that were there before.
                AND (s.refreshes ->> c.relation)::bigint = c.refresh_id
        )
        OR c.relation IN (
            SELECT f.relation FROM feature_store_audit.history_finding AS f
            WHERE f.kind = 'leak' AND f.outcome IS NULL
        )
    )
$function$;
COMMENT ON FUNCTION feature_store_audit.withdraw_broken(text, text) IS
'Takes the certification back from relations of which a run found the very rows broken, or which leak.';

-- The baseline of history.
CREATE FUNCTION feature_store_audit.begin_baseline(
    p_token bigint, p_layer text, p_definitions jsonb
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
BEGIN
    IF EXISTS (
        SELECT FROM feature_store_audit.history_layer AS h
        WHERE h.layer = p_layer AND h.definitions = p_definitions
    ) THEN
        RAISE EXCEPTION 'the baseline of % stands on these definitions', p_layer;
    END IF;
    INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome)
    SELECT f.finding_id, 'redefined'
    FROM feature_store_audit.history_finding AS f
    WHERE f.layer = p_layer AND f.outcome IS NULL;
    DELETE FROM feature_store_audit.history_row AS r WHERE r.layer = p_layer;
    DELETE FROM feature_store_audit.history_change AS c WHERE c.layer = p_layer;
    DELETE FROM feature_store_audit.history_day AS d WHERE d.layer = p_layer;
    INSERT INTO feature_store_audit.history_layer AS h (layer, definitions, dag_id, run_id)
    VALUES (p_layer, p_definitions, v_lease.dag_id, v_lease.run_id)
    ON CONFLICT (layer) DO UPDATE SET
        definitions = excluded.definitions,
        dag_id = excluded.dag_id,
        run_id = excluded.run_id,
        set_at = transaction_timestamp(),
        seen = NULL;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.begin_baseline(bigint, text, jsonb) IS
'Forgets the baseline of a layer whose definitions have changed, so that a new one can be written. What was open about it is closed.';

CREATE FUNCTION feature_store_audit.set_days(
    p_layer text, p_days date [], p_counts bigint [], p_digests bytea [], p_dag_id text, p_run_id text
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH applied AS (
    DELETE FROM feature_store_audit.history_change AS c
    WHERE c.layer = p_layer AND c.day = ANY(p_days)
    RETURNING c.day, c.came, c.copy, c.row_key, c.digest, c.columns
),

gone AS (
    DELETE FROM feature_store_audit.history_row AS r
    USING applied AS a
    WHERE
        NOT a.came
        AND r.layer = p_layer
        AND r.day = ANY(p_days)
        AND r.day = a.day
        AND r.copy = a.copy
        AND r.row_key = a.row_key
        AND r.digest = a.digest
)

INSERT INTO feature_store_audit.history_row (layer, day, copy, row_key, digest, columns)
SELECT p_layer, a.day, a.copy, a.row_key, a.digest, a.columns
FROM applied AS a
WHERE a.came;

WITH day AS (
    SELECT d.* FROM unnest(p_days, p_counts, p_digests) AS d (day, row_count, fingerprint)
),

emptied AS (
    DELETE FROM feature_store_audit.history_day AS h
    USING day AS d
    WHERE h.layer = p_layer AND h.day = d.day AND d.row_count = 0
)

INSERT INTO feature_store_audit.history_day (layer, day, row_count, fingerprint, dag_id, run_id)
SELECT p_layer, d.day, d.row_count, d.fingerprint, p_dag_id, p_run_id
FROM day AS d
WHERE d.row_count > 0
ON CONFLICT (layer, day) DO UPDATE SET
    row_count = excluded.row_count,
    fingerprint = excluded.fingerprint,
    dag_id = excluded.dag_id,
    run_id = excluded.run_id,
    set_at = transaction_timestamp();
$function$;
COMMENT ON FUNCTION feature_store_audit.set_days(text, date [], bigint [], bytea [], text, text) IS
'Makes days of a layer, with the changes that were found on them, the baseline. For the functions of this schema alone.';

CREATE FUNCTION feature_store_audit.move_baseline(
    p_token bigint, p_layer text, p_days date [], p_counts bigint [], p_digests bytea []
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_day date;
BEGIN
    SELECT f.day INTO v_day
    FROM feature_store_audit.history_finding AS f
    WHERE f.layer = p_layer AND f.outcome IS NULL AND f.day = ANY(p_days)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% of % is open: a person accepts it, or it becomes what it was', v_day, p_layer;
    END IF;
    PERFORM feature_store_audit.set_days(
        p_layer, p_days, p_counts, p_digests, v_lease.dag_id, v_lease.run_id
    );
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.move_baseline(bigint, text, date [], bigint [], bytea []) IS
'Makes days of a layer, as the run under the lease saw them, the baseline. Refuses a day about which something is open.';

CREATE FUNCTION feature_store_audit.drop_changes(p_token bigint, p_layer text, p_days date [])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    DELETE FROM feature_store_audit.history_change AS c
    WHERE c.layer = p_layer AND c.day = ANY(p_days);
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.drop_changes(bigint, text, date []) IS
'Forgets the changes that were found on days of a layer: they are looked for anew, or the days are as they were.';

CREATE FUNCTION feature_store_audit.keep_seen(p_token bigint, p_layer text, p_seen jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    UPDATE feature_store_audit.history_layer AS h SET seen = p_seen WHERE h.layer = p_layer;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.keep_seen(bigint, text, jsonb) IS
'Keeps the states of the rows that were fingerprinted, so that the same rows need no second look.';

-- Accepting that the past has changed.
CREATE FUNCTION feature_store_audit.accept_findings(
    p_findings bigint [], p_by text, p_reason text
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_finding feature_store_audit.history_finding;
BEGIN
    FOR v_finding IN
        SELECT f.* FROM feature_store_audit.history_finding AS f
        WHERE f.finding_id = ANY(p_findings) AND f.outcome IS NULL
    LOOP
        PERFORM feature_store_audit.set_days(
            v_finding.layer,
            ARRAY[v_finding.day],
            ARRAY[v_finding.row_count],
            ARRAY[v_finding.fingerprint],
            v_finding.latest_dag_id,
            v_finding.latest_run_id
        );
        INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome, closed_by, reason)
        VALUES (v_finding.finding_id, 'accepted', p_by, p_reason);
    END LOOP;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.accept_findings(bigint [], text, text) IS
'Makes the days of findings, as they were last seen, the baseline. For the functions of this schema alone.';

CREATE FUNCTION feature_store_audit.accept_history(
    p_day date, p_layer text, p_by text, p_reason text
) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_findings bigint[];
BEGIN
    LOCK TABLE feature_store_audit.history_lock IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(f.finding_id) INTO v_findings
    FROM feature_store_audit.history_finding AS f
    WHERE f.outcome IS NULL AND f.day = p_day AND coalesce(f.layer = p_layer, TRUE);
    PERFORM feature_store_audit.accept_findings(v_findings, btrim(p_by), btrim(p_reason));
    RETURN QUERY SELECT unnest(v_findings);
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.accept_history(date, text, text, text) IS
'Accepts what is open about a day, of one layer or of all (NULL), reviews and leaks alike; gives the findings. A person calls it, with a reason.';

CREATE FUNCTION feature_store_audit.accept_backfill_day(p_token bigint) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_findings bigint[];
BEGIN
    LOCK TABLE feature_store_audit.history_lock IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(f.finding_id) INTO v_findings
    FROM feature_store_audit.history_finding AS f
    INNER JOIN feature_store_audit.run AS r
        ON f.day = r.as_of_day AND r.run_type = 'backfill'
        AND r.dag_id = v_lease.dag_id AND r.run_id = v_lease.run_id
    WHERE f.outcome IS NULL AND f.kind = 'review';
    PERFORM feature_store_audit.accept_findings(
        v_findings, v_lease.dag_id, format('backfill: %s, run %s', v_lease.dag_id, v_lease.run_id)
    );
    RETURN QUERY SELECT unnest(v_findings);
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.accept_backfill_day(bigint) IS
'Accepts the reviews, never a leak, of the one day that the backfill''s run under the lease answers for; gives the findings.';

-- Retention.
CREATE FUNCTION feature_store_audit.forget(
    p_days integer, OUT runs bigint, OUT refreshes bigint, OUT findings bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_before timestamptz := transaction_timestamp() - make_interval(days => p_days);
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
    IF p_days < 30 THEN
        RAISE EXCEPTION 'nothing of the last 30 days is deleted, and % days were asked for', p_days
        USING ERRCODE = 'invalid_parameter_value';
    END IF;

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
    GET DIAGNOSTICS refreshes = ROW_COUNT;

    DELETE FROM feature_store_audit.history_finding_log AS t
    WHERE t.finding_id IN (
        SELECT f.finding_id
        FROM feature_store_audit.history_finding AS f
        WHERE f.outcome IN ('undone', 'redefined', 'reported') AND f.closed_at < v_before
        ORDER BY f.finding_id
        LIMIT 10000
    );
    GET DIAGNOSTICS findings = ROW_COUNT;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.forget(integer) IS
'Deletes what is older than so many days, at least 30, and no longer needed; of NULL only what no check asks for again.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA feature_store_audit FROM PUBLIC;

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
