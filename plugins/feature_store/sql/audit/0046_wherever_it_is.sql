-- Four things that depended on where the store is, on who asks, or on which run came to its end last.

-- As before, but a run that is asked again takes nothing back that a later run has certified.
CREATE OR REPLACE FUNCTION feature_store_audit.withdraw_broken(p_dag_id text, p_run_id text) RETURNS void
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
                -- Nor what a later run has found met, and certified.
                AND s.event_id > c.event_id
        )
        OR c.relation IN (
            SELECT f.relation FROM feature_store_audit.history_finding AS f
            WHERE f.kind = 'leak' AND f.outcome IS NULL
        )
    )
$function$;

-- As before, and the functions of yours that a live view calls: who replaces one changes the view's rows.
CREATE OR REPLACE FUNCTION feature_store_audit.forms_below(p_views oid[]) RETURNS TABLE (what text, form text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH RECURSIVE live (object) AS (
    SELECT v.oid
    FROM unnest(p_views) AS v (oid)
    UNION
    SELECT d.refobjid
    FROM live AS l
    INNER JOIN pg_class AS k ON l.object = k.oid AND k.relkind = 'v'
    INNER JOIN pg_rewrite AS r ON k.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    -- The server's own views and tables are as its version has them.
    WHERE d.refobjid >= 16384
),

heir (object, heir) AS (
    SELECT
        l.object,
        i.inhrelid
    FROM live AS l
    INNER JOIN pg_class AS k ON l.object = k.oid AND k.relkind IN ('r', 'f')
    INNER JOIN pg_inherits AS i ON k.oid = i.inhparent
    UNION
    SELECT
        h.object,
        i.inhrelid
    FROM heir AS h
    INNER JOIN pg_inherits AS i ON h.heir = i.inhparent
),

-- Those of the server are as its version has them. A function that is called by another's body is found only if
-- the server reads that body when it is created.
called (object, function) AS (
    SELECT
        l.object,
        coalesce(o.oprcode::oid, d.refobjid)
    FROM live AS l
    INNER JOIN pg_class AS k ON l.object = k.oid AND k.relkind = 'v'
    INNER JOIN pg_rewrite AS r ON k.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON
            r.oid = d.objid
            AND d.classid = 'pg_rewrite'::regclass
            AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
    LEFT JOIN pg_operator AS o ON d.refobjid = o.oid AND d.refclassid = 'pg_operator'::regclass
    UNION
    SELECT
        c.object,
        d.refobjid
    FROM called AS c
    INNER JOIN pg_depend AS d
        ON c.function = d.objid AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_proc'::regclass
)

SELECT
    format('the %s of %s.%s', f.what, n.nspname, k.relname) AS what,
    coalesce(f.form, '') AS form
FROM live AS l
INNER JOIN pg_class AS k ON l.object = k.oid
INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
CROSS JOIN LATERAL (
    VALUES
    ('owner', 'v', k.relowner::text),
    ('options', 'v', (SELECT string_agg(o.name, ', ' ORDER BY o.name) FROM unnest(k.reloptions) AS o (name))),
    ('row-level security', 'rpf', concat_ws('/', k.relrowsecurity, k.relforcerowsecurity)),
    ('heirs', 'rf', (SELECT string_agg(h.heir::text, ', ' ORDER BY h.heir) FROM heir AS h WHERE h.object = k.oid))
) AS f (what, kinds, form)
WHERE f.kinds LIKE '%' || k.relkind::text || '%'
UNION ALL
SELECT
    format('the functions of %s.%s', n.nspname, k.relname) AS what,
    md5(
        string_agg(
            concat_ws('/', p.oid, p.prosrc, p.probin, pg_get_function_sqlbody(p.oid), p.proconfig), ', ' ORDER BY p.oid
        )
    ) AS form
FROM called AS c
INNER JOIN pg_proc AS p ON c.function = p.oid AND p.oid >= 16384
INNER JOIN pg_class AS k ON c.object = k.oid
INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
GROUP BY n.nspname, k.relname
$function$;

-- The refresher is not the owner, so the server skips an ANALYZE of its.
CREATE FUNCTION feature_store_audit.analyze_history() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
BEGIN
    ANALYZE feature_store_audit.history_row;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.analyze_history() IS
'Gathers the statistics of the rows of history''s baseline.';
REVOKE ALL ON FUNCTION feature_store_audit.analyze_history() FROM public;

-- A seal is taken over rows in the order of their entity. The order of texts is another one in another locale, or
-- under another version of the same; so it is that of their bytes, everywhere. What is as it was sealed by the old
-- order is sealed by the new one.
WITH by_text AS (
    SELECT l.feature_set
    FROM feature_store_audit.feature_log AS l
    INNER JOIN pg_attribute AS a
        ON
            a.attrelid = to_regclass(format('feature_log.%I', l.feature_set))
            AND l.entity = a.attname
            AND a.attcollation <> 0
),

broken AS (
    SELECT
        t.feature_set,
        b.serving
    FROM by_text AS t
    CROSS JOIN LATERAL feature_store_audit.broken_servings(t.feature_set) AS b
)

SELECT
    set_config(
        'feature_store.intact', coalesce(jsonb_agg(jsonb_build_array(s.feature_set, s.serving)), '[]')::text, TRUE
    )
FROM feature_store_audit.seal AS s
INNER JOIN by_text AS t ON s.feature_set = t.feature_set
LEFT JOIN broken AS b ON s.feature_set = b.feature_set AND s.serving = b.serving
WHERE b.serving IS NULL;

CREATE OR REPLACE FUNCTION feature_store_audit.read_servings(
    p_set text, p_columns text[], p_servings bigint[]
) RETURNS TABLE (serving bigint, row_count bigint, fingerprint bytea, filled bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_encoding = 'UTF8'
AS $function$
DECLARE
    v_entity text := (SELECT l.entity FROM feature_store_audit.feature_log AS l WHERE l.feature_set = p_set);
    v_later text;
    v_order text;
BEGIN
    SELECT format('l.%I', v_entity) || CASE WHEN a.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END INTO v_order
    FROM pg_attribute AS a
    WHERE a.attrelid = format('feature_log.%I', p_set)::regclass AND a.attname = v_entity;
    SELECT coalesce('num_nonnulls(' || string_agg(format('l.%I', a.attname), ', ') || ')', '0') INTO v_later
    FROM pg_attribute AS a
    WHERE
        a.attrelid = format('feature_log.%I', p_set)::regclass
        AND a.attnum > 0
        AND NOT a.attisdropped
        AND a.attname <> ALL(p_columns);
    RETURN QUERY EXECUTE format(
        'SELECT l.serving, count(*), '
        || 'sha256(string_agg(substr(sha256(record_send(ROW(%s))), 1, 16), '''' ORDER BY %s)), '
        || 'count(*) FILTER (WHERE %s > 0) '
        || 'FROM ONLY feature_log.%I AS l WHERE $1 IS NULL OR l.serving = ANY($1) GROUP BY l.serving',
        (SELECT string_agg(format('l.%I', c.name), ', ' ORDER BY c.place) FROM unnest(p_columns) WITH ORDINALITY AS c (name, place)),
        v_order, v_later, p_set
    ) USING p_servings;
END;
$function$;

SELECT
    feature_store_audit.seal_serving(
        i.pair ->> 0,
        (i.pair ->> 1)::bigint,
        NULL,
        NULL,
        session_user,
        'The order of its rows depends on no collation any more.'
    )
FROM jsonb_array_elements(current_setting('feature_store.intact')::jsonb) AS i (pair);
