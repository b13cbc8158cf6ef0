-- What rows rest on besides other rows: the queries that made them, the time zone whose days they have, and
-- the proofs that a person stamped. Until now a run was certified by the numbers of its refreshes alone.

-- By name: a digest of the query of each view of the store, and of each plain view below one. It is taken of
-- the text, which is the same after a restore, with the settings that decide how the server writes it.
CREATE FUNCTION feature_store_audit.queries() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET lc_monetary = 'C'
SET quote_all_identifiers = off
AS $function$
WITH RECURSIVE view (oid) AS (
    SELECT c.oid
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid AND c.relkind IN ('v', 'm')
    INNER JOIN feature_store_audit.definition AS d ON d.object = n.nspname || '.' || c.relname
    UNION
    SELECT c.oid
    FROM view AS v
    INNER JOIN pg_rewrite AS r ON v.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    -- The server's own views are as its version has them.
    INNER JOIN pg_class AS c ON d.refobjid = c.oid AND c.relkind = 'v' AND c.oid >= 16384
)

SELECT
    coalesce(
        jsonb_object_agg(
            n.nspname || '.' || c.relname,
            encode(sha256(convert_to(c.relkind::text || pg_get_viewdef(c.oid), 'UTF8')), 'hex')
        ),
        '{}'
    )
FROM view AS v
INNER JOIN pg_class AS c ON v.oid = c.oid
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
$function$;
COMMENT ON FUNCTION feature_store_audit.queries() IS
'A digest of the query of each view of the store, and of each plain view below one, by its name.';

-- What was recorded before this step has none.
ALTER TABLE feature_store_audit.suite_log ADD COLUMN queries jsonb, ADD COLUMN zone text;
ALTER TABLE feature_store_audit.suite_log
ALTER COLUMN queries SET DEFAULT feature_store_audit.queries(),
ALTER COLUMN zone SET DEFAULT current_setting('TimeZone');
COMMENT ON COLUMN feature_store_audit.suite_log.queries IS
'The store''s queries when the try began, as queries() gives them.';
COMMENT ON COLUMN feature_store_audit.suite_log.zone IS
'The time zone in which it was checked.';
ALTER TABLE feature_store_audit.verdict_log ADD COLUMN queries jsonb;
COMMENT ON COLUMN feature_store_audit.verdict_log.queries IS
'The store''s queries that the run certified; only certify writes them.';

-- As before, and: everything was refreshed and checked in the run's own time zone, with the queries that the
-- store has now, and with the proofs that are stamped now.
CREATE OR REPLACE FUNCTION feature_store_audit.unproven(p_lease feature_store_audit.lease, p_relations text[])
RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH run AS (
    SELECT r.zone
    FROM feature_store_audit.run AS r
    WHERE r.dag_id = p_lease.dag_id AND r.run_id = p_lease.run_id
),

-- The store's queries as they are now.
query AS (
    SELECT
        q.key AS name,
        q.value AS digest
    FROM jsonb_each_text(feature_store_audit.queries()) AS q
),

latest AS (
    SELECT
        w.relation,
        w.place,
        l.refresh_id,
        l.run_id,
        r.zone,
        r.inputs,
        (l.dag_id = p_lease.dag_id AND l.run_id = p_lease.run_id) OR u.relation IS NOT NULL AS is_ours
    FROM unnest(p_relations) WITH ORDINALITY AS w (relation, place)
    LEFT JOIN feature_store_audit.latest_refresh AS l ON w.relation = l.relation
    LEFT JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id
    LEFT JOIN feature_store_audit.reuse AS u
        ON l.relation = u.relation AND l.refresh_id = u.refresh_id
        AND u.dag_id = p_lease.dag_id AND u.run_id = p_lease.run_id
),

checked AS (
    SELECT
        q.suite,
        s.event_id,
        s.refreshes,
        o.queries,
        o.zone,
        count(e.expectation) AS expectations,
        count(*) FILTER (WHERE e.severity = 'critical' AND e.outcome <> 'met') AS wrong
    FROM feature_store_audit.required_suite AS q
    LEFT JOIN feature_store_audit.latest_suite AS s
        ON q.suite = s.suite AND s.dag_id = p_lease.dag_id AND s.run_id = p_lease.run_id
    LEFT JOIN feature_store_audit.suite_log AS o ON s.event_id = o.event_id
    LEFT JOIN feature_store_audit.expectation_log AS e ON s.event_id = e.suite_event
    GROUP BY q.suite, s.event_id, s.refreshes, o.queries, o.zone
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

judged AS (
    SELECT max(j.event_id) AS event_id
    FROM feature_store_audit.history_judgement_log AS j
    WHERE j.dag_id = p_lease.dag_id AND j.run_id = p_lease.run_id
),

problem AS (
    SELECT
        5 AS kind,
        0 AS place,
        'History has not been judged since the last refresh.' AS words
    FROM judged AS j
    WHERE coalesce(j.event_id, 0) < (SELECT max(l.refresh_id) FROM latest AS l)
    UNION ALL
    SELECT
        1 AS kind,
        0 AS place,
        'It has no record: prepare has not opened one.' AS words
    WHERE NOT EXISTS (SELECT FROM run)
    UNION ALL
    SELECT
        1 AS kind,
        2 AS place,
        format(
            'This session works in the time zone %s, but the run answers for days in %s.',
            current_setting('TimeZone'), r.zone
        ) AS words
    FROM run AS r
    WHERE lower(r.zone) <> lower(current_setting('TimeZone'))
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
        2 AS kind,
        l.place,
        format(
            '%s was refreshed in the time zone %s, but the run answers for days in %s.', l.relation, l.zone, r.zone
        ) AS words
    FROM latest AS l
    CROSS JOIN run AS r
    WHERE lower(l.zone) <> lower(r.zone)
    UNION ALL
    SELECT
        2 AS kind,
        l.place,
        format('%s was refreshed while %s had another query than now.', l.relation, b.name) AS words
    FROM latest AS l
    -- As the refresh saw them, see refresh/inputs.py: its own query, and those of plain views below it.
    CROSS JOIN LATERAL (
        SELECT
            substr(i.key, length('the query of ') + 1) AS name,
            i.value AS version
        FROM jsonb_each_text(l.inputs) AS i
        WHERE i.key LIKE 'the query of %' AND i.value IS NOT NULL
    ) AS b
    LEFT JOIN (
        pg_class AS c
        INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        INNER JOIN pg_rewrite AS r ON c.oid = r.ev_class AND r.ev_type = '1'
    ) ON b.name = n.nspname || '.' || c.relname
    WHERE b.version IS DISTINCT FROM concat_ws('/', c.oid, r.oid, r.xmin::text)
    UNION ALL
    SELECT
        3 AS kind,
        0 AS place,
        format('Run %s has checked the store since.', l.run_id) AS words
    FROM later AS l
    UNION ALL
    SELECT
        3 AS kind,
        1 AS place,
        format('%s of %s leaks, and nobody has accepted it.', f.relation, f.day) AS words
    FROM feature_store_audit.history_finding AS f
    WHERE f.kind = 'leak' AND f.outcome IS NULL AND f.relation = ANY(p_relations)
    UNION ALL
    SELECT
        4 AS kind,
        0 AS place,
        format(
            'The suite %s was checked in the time zone %s, but the run answers for days in %s.', c.suite, c.zone, r.zone
        ) AS words
    FROM checked AS c
    CROSS JOIN run AS r
    WHERE lower(c.zone) <> lower(r.zone)
    UNION ALL
    SELECT
        4 AS kind,
        0 AS place,
        format('The suite %s was checked while %s had another query than now.', c.suite, q.name) AS words
    FROM checked AS c
    CROSS JOIN query AS q
    WHERE c.queries IS NOT NULL AND c.queries ->> q.name IS DISTINCT FROM q.digest
    UNION ALL
    SELECT
        4 AS kind,
        0 AS place,
        format('The proofs were stamped anew after the suite %s was checked.', c.suite) AS words
    FROM checked AS c
    WHERE c.event_id < (SELECT i.event_id FROM feature_store_audit.proof_inventory AS i)
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

-- As before, and it writes down the queries.
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
    INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, queries)
    VALUES (v_lease.dag_id, v_lease.run_id, 'passed', feature_store_audit.queries());
END;
$function$;

REVOKE ALL ON FUNCTION feature_store_audit.queries() FROM public;
