-- A certificate is as old as the oldest of its run's refreshes, too. Until now its age was that of the suites:
-- whoever cleared the last tasks of a run of days ago made rows young that nobody had refreshed since.
-- As before, but for that moment. What a run found unchanged is as old as that look.
CREATE OR REPLACE FUNCTION feature_store_audit.certify(p_token bigint, p_relations text[]) RETURNS SETOF text
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
    -- Only views of schemas where nobody else may create are read here, as the owner: to read a table
    -- runs the code of its statistics and indexes.
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
            INNER JOIN pg_namespace AS n
                ON c.relnamespace = n.oid AND c.relkind = 'm'
            INNER JOIN feature_store_audit.store AS s ON n.nspname = ANY(s.governed_schemas)
        ) ON w.relation = n.nspname || '.' || c.relname
    LOOP
        IF v_view.view IS NULL THEN
            v_problems := v_problems || format('%s is no materialized view of the store.', v_view.relation);
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
        -- As old as what it rests on: nobody makes an old run young by clearing its last tasks.
        least(
            (
                SELECT min(e.checked_at)
                FROM feature_store_audit.expectation AS e
                INNER JOIN feature_store_audit.required_suite AS q ON e.suite = q.suite
                WHERE e.dag_id = r.dag_id AND e.run_id = r.run_id
            ),
            (
                SELECT min(coalesce(u.reused_at, m.finished_at))
                FROM feature_store_audit.latest_refresh AS m
                LEFT JOIN feature_store_audit.reuse AS u
                    ON m.relation = u.relation AND m.refresh_id = u.refresh_id
                    AND u.dag_id = r.dag_id AND u.run_id = r.run_id
                WHERE m.relation = ANY(v_names)
            )
        ),
        v.version
    FROM unnest(v_names, v_versions) AS v (relation, version)
    INNER JOIN feature_store_audit.latest_refresh AS l ON v.relation = l.relation
    INNER JOIN feature_store_audit.run AS r
        ON r.dag_id = v_lease.dag_id AND r.run_id = v_lease.run_id
    INNER JOIN pg_class AS c ON c.relkind = 'm'
    INNER JOIN pg_namespace AS n
        ON c.relnamespace = n.oid AND v.relation = n.nspname || '.' || c.relname;
    INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, queries)
    VALUES (v_lease.dag_id, v_lease.run_id, 'passed', feature_store_audit.queries());
END;
$function$;
