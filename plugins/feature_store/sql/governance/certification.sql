-- Certification, for readers of feature sets: has a whole run proven the rows that I am about to read,
-- and recently enough? The same file is used for every governed schema of a store; for the store of
-- include/:
--   sed -e 's/:"schema"/ml/g' -e 's/:"registry"/ml/g' -e 's/:dag_id/feature_store_refresh/g' certification.sql | psql
--   sed -e 's/:"schema"/feature_store/g' -e 's/:"registry"/ml/g' -e 's/:dag_id/feature_store_refresh/g' certification.sql | psql
-- It runs with its owner's privileges, so a reader needs none on the audit schema.
CREATE FUNCTION :"schema".require_certified(p_set text, p_max_age interval)
RETURNS TABLE (as_of_day date, run_id text, certified_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_carrier text;
    v_closure text[];
    v_relations oid[];
    v_verdict bigint;
    v_queries jsonb;
    v_problem text;
    v_changed record;
    v_rows text;
    v_patience text := current_setting('lock_timeout');
BEGIN
    IF p_max_age IS NULL OR p_max_age < interval '0' THEN
        RAISE EXCEPTION 'max_age is %; expected an interval such as ''30 hours''', p_max_age
        USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT b.relation_name INTO v_carrier
    FROM :"registry".feature_set AS s
    INNER JOIN :"registry".feature_set_binding AS b ON s.set_id = b.set_id
    WHERE s.name = p_set;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'feature_set % not found', p_set;
    END IF;
    IF to_regclass(v_carrier) IS NULL THEN
        RAISE EXCEPTION 'NOT CERTIFIED: % does not exist', v_carrier;
    END IF;

    -- Every materialized view of the store that the set's rows come from, by the catalog. One of
    -- yours among the sources is like a table: who refreshes it writes its rows.
    WITH RECURSIVE carrier (relation) AS (
        SELECT to_regclass(v_carrier)::oid
        UNION
        SELECT d.refobjid
        FROM carrier AS c
        INNER JOIN pg_rewrite AS r ON c.relation = r.ev_class
        INNER JOIN pg_depend AS d
            ON r.oid = d.objid
            AND d.classid = 'pg_rewrite'::regclass
            AND d.refclassid = 'pg_class'::regclass
    )

    SELECT
        array_agg(n.nspname || '.' || k.relname) FILTER (WHERE k.relkind IN ('v', 'm')),
        array_agg(k.oid) FILTER (WHERE k.relkind = 'm' AND d.object IS NOT NULL)
    INTO v_closure, v_relations
    FROM carrier AS c
    INNER JOIN pg_class AS k ON c.relation = k.oid
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
    LEFT JOIN feature_store_audit.definition AS d ON d.object = n.nspname || '.' || k.relname;

    SELECT
        format(
            '%s.%s %s',
            n.nspname,
            k.relname,
            CASE
                WHEN c.relation IS NULL THEN 'has never been certified'
                WHEN c.refresh_id IS DISTINCT FROM l.refresh_id
                    THEN format(
                        'was refreshed at %s by run %s, which has not been certified',
                        l.finished_at, l.run_id
                    )
                WHEN c.withdrawn_by IS NOT NULL
                    THEN format('was found broken by run %s', c.withdrawn_by)
                ELSE 'was rewritten since it was certified: replaced by apply, refreshed by hand, or by VACUUM FULL'
            END
        )
    INTO v_problem
    FROM unnest(v_relations) AS v (relation)
    INNER JOIN pg_class AS k ON v.relation = k.oid
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
    LEFT JOIN feature_store_audit.certified AS c ON c.relation = n.nspname || '.' || k.relname
    LEFT JOIN feature_store_audit.latest_refresh AS l ON c.relation = l.relation
    WHERE
        c.relation IS NULL
        OR c.refresh_id IS DISTINCT FROM l.refresh_id
        OR c.withdrawn_by IS NOT NULL
        OR c.file_node IS DISTINCT FROM pg_relation_filenode(k.oid)
    ORDER BY n.nspname, k.relname
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'NOT CERTIFIED: %', v_problem
        USING HINT = 'Wait for the run under way, or look at the latest run of :dag_id.';
    END IF;

    -- A concurrent refresh by hand keeps the file. It writes the view's row of pg_class anew, and so
    -- do GRANT and ALTER: where somebody did, the rows tell, by where each stands and who wrote it.
    FOR v_changed IN
        SELECT
            k.oid::regclass AS relation,
            n.nspname || '.' || k.relname AS name,
            c.file_node,
            r.outcome
        FROM unnest(v_relations) AS v (relation)
        INNER JOIN pg_class AS k ON v.relation = k.oid
        INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
        INNER JOIN feature_store_audit.certified AS c ON c.relation = n.nspname || '.' || k.relname
        INNER JOIN feature_store_audit.refresh AS r ON c.refresh_id = r.refresh_id
        WHERE r.outcome IS NOT NULL AND coalesce(c.version, r.version) IS DISTINCT FROM k.xmin::text
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '10ms', true);
            EXECUTE format(
                'SELECT concat_ws(''/'', count(*), sum(hashtidextended(t.ctid, t.xmin::text::bigint))) FROM ONLY %s AS t',
                v_changed.relation
            ) INTO v_rows;
            PERFORM set_config('lock_timeout', v_patience, true);
        EXCEPTION
            -- Readers are not kept waiting here for a layer that they may not even read.
            WHEN lock_not_available THEN
                RAISE EXCEPTION 'NOT CERTIFIED: % was altered or refreshed by hand since it was certified, and somebody holds a lock on it, so its rows cannot be looked at',
                    v_changed.name
                USING HINT = 'Try again in a moment.';
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'NOT CERTIFIED: % was altered or refreshed by hand since it was certified, and % may not look at its rows',
                    v_changed.name, current_user
                USING HINT = format('GRANT SELECT ON %s TO %I, or wait for the next run of :dag_id.', v_changed.name, current_user);
        END;
        IF right(v_changed.outcome, length(v_rows) + 1) IS DISTINCT FROM '/' || v_rows THEN
            RAISE EXCEPTION 'NOT CERTIFIED: % was %',
                v_changed.name,
                CASE
                    WHEN v_changed.file_node IS DISTINCT FROM pg_relation_filenode(v_changed.relation)
                        THEN 'written anew at this very moment'
                    ELSE 'refreshed by hand since it was certified'
                END
            USING HINT = 'Wait for the next run of :dag_id, which proves the rows anew.';
        END IF;
    END LOOP;

    -- A plain view has no rows of its own: its query gives them. So the queries must be those that were
    -- certified, and no run may have found what they give broken since. Runs of before 0.14 recorded none.
    SELECT
        v.event_id,
        v.queries
    INTO v_verdict, v_queries
    FROM feature_store_audit.certified AS c
    INNER JOIN feature_store_audit.verdict_log AS v
        ON c.dag_id = v.dag_id AND c.run_id = v.run_id AND v.verdict = 'passed'
    WHERE c.relation = ANY(v_closure)
    ORDER BY v.event_id DESC
    LIMIT 1;
    WITH RECURSIVE live (relation) AS (
        -- What the set's query reads now: below a materialized view only its refresh does.
        SELECT to_regclass(v_carrier)::oid
        UNION
        SELECT d.refobjid
        FROM live AS l
        INNER JOIN pg_class AS k ON l.relation = k.oid AND k.relkind = 'v'
        INNER JOIN pg_rewrite AS r ON l.relation = r.ev_class
        INNER JOIN pg_depend AS d
            ON r.oid = d.objid
            AND d.classid = 'pg_rewrite'::regclass
            AND d.refclassid = 'pg_class'::regclass
    )

    SELECT format('%s.%s has another query than the one that was certified', n.nspname, k.relname) INTO v_problem
    FROM live AS l
    INNER JOIN pg_class AS k ON l.relation = k.oid AND k.relkind IN ('v', 'm')
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
    CROSS JOIN feature_store_audit.queries() AS q (now)
    WHERE
        v_queries IS NOT NULL
        AND v_queries ->> (n.nspname || '.' || k.relname) IS DISTINCT FROM q.now ->> (n.nspname || '.' || k.relname)
    ORDER BY n.nspname, k.relname
    LIMIT 1;
    IF NOT FOUND THEN
        SELECT format('%s was found broken by run %s', e.relation, s.run_id) INTO v_problem
        FROM feature_store_audit.suite_log AS s
        INNER JOIN feature_store_audit.expectation_log AS e ON s.event_id = e.suite_event
        WHERE
            s.event_id > v_verdict
            AND e.relation = ANY(v_closure)
            AND e.severity = 'critical'
            AND e.outcome = 'broken'
            AND s.event_id > coalesce(
                (
                    SELECT max(r.event_id) FROM feature_store_audit.run_log AS r
                    WHERE r.dag_id = s.dag_id AND r.run_id = s.run_id
                ), 0
            )
            -- By the latest try of the suite that has come to an end.
            AND NOT EXISTS (
                SELECT
                FROM feature_store_audit.suite_log AS o
                INNER JOIN feature_store_audit.expectation_log AS a ON o.event_id = a.suite_event
                WHERE
                    o.dag_id = s.dag_id AND o.run_id = s.run_id AND o.suite = s.suite
                    AND o.event_id > s.event_id
            )
        ORDER BY e.relation
        LIMIT 1;
    END IF;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'NOT CERTIFIED: %', v_problem
        USING HINT = 'Look at the latest run of :dag_id, and wait for the next one.';
    END IF;

    SELECT
        c.as_of_day,
        c.run_id,
        c.certified_at
    INTO as_of_day, run_id, certified_at
    FROM unnest(v_relations) AS v (relation)
    INNER JOIN pg_class AS k ON v.relation = k.oid
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
    INNER JOIN feature_store_audit.certified AS c ON c.relation = n.nspname || '.' || k.relname
    ORDER BY c.certified_at
    LIMIT 1;
    IF certified_at IS NULL THEN
        RAISE EXCEPTION 'NOT CERTIFIED: % reads no materialized view of the store', v_carrier;
    END IF;
    -- A minute for a clock that is set right by a little. What is further ahead could pass for young
    -- for as long as it likes.
    IF certified_at > statement_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION 'NOT CERTIFIED: % was certified at %, which is yet to come: the clock of this server was ahead then or is behind now, so nobody can tell how long ago',
            p_set, certified_at
        USING HINT = 'Set the clock right, and wait for the next run of :dag_id.';
    END IF;
    IF certified_at < statement_timestamp() - p_max_age THEN
        RAISE EXCEPTION 'CERTIFICATION TOO OLD: % was last certified at %, more than % ago',
            p_set, certified_at, p_max_age
        USING HINT = 'Look at the latest run of :dag_id.';
    END IF;
    RETURN NEXT;
END;
$function$;
COMMENT ON FUNCTION :"schema".require_certified(text, interval) IS
'Raises unless the feature set''s rows were all proven by a whole run at most max_age ago; says which run. Call it after assert_feature_contract.';
