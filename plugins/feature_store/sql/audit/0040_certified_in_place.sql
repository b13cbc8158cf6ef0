-- What readers of a set read beside its own relation is certified, too: the training view's query, which had no
-- certificate until now; what was certified and has lost its name, or has another thing in its place; and what
-- decides the rows of a live view besides its query.

-- Whose queries are certified: the views of the store, and the training views of its feature logs.
CREATE VIEW feature_store_audit.store_view AS
SELECT
    c.oid AS object,
    n.nspname || '.' || c.relname AS name,
    d.object IS NULL AS is_training
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid AND c.relkind IN ('v', 'm')
LEFT JOIN feature_store_audit.definition AS d ON d.object = n.nspname || '.' || c.relname
LEFT JOIN feature_store_audit.feature_log AS l
    ON n.nspname = 'feature_log' AND c.relname = l.feature_set || '_training' AND c.relkind = 'v'
WHERE coalesce(d.object, l.feature_set) IS NOT NULL;
COMMENT ON VIEW feature_store_audit.store_view IS
'The views whose queries runs certify: those of the store, materialized or not, and the training views.';

-- A live view's query is not all that decides what it gives: it reads in somebody's name, and its tables may
-- hide rows, or show those of tables that inherit from them. Partitions come and go, as rows do. By numbers,
-- not by names: who renames an owner or an heir changes no rows.
CREATE FUNCTION feature_store_audit.forms_below(p_views oid[]) RETURNS TABLE (what text, form text)
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
$function$;
COMMENT ON FUNCTION feature_store_audit.forms_below(oid[]) IS
'What decides the rows of live views besides their queries: owner and options of each view, row-level security and heirs of each table that they read.';

-- As before, and the training views, and the forms of what is live.
CREATE OR REPLACE FUNCTION feature_store_audit.queries() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH RECURSIVE view (oid) AS (
    SELECT o.object
    FROM feature_store_audit.store_view AS o
    UNION
    SELECT c.oid
    FROM view AS v
    INNER JOIN pg_rewrite AS r ON v.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    -- The server's own views are as its version has them.
    INNER JOIN pg_class AS c ON d.refobjid = c.oid AND c.relkind = 'v' AND c.oid >= 16384
),

-- What only a refresh reads does not decide what readers get now.
live AS (
    SELECT o.object
    FROM feature_store_audit.store_view AS o
    WHERE NOT EXISTS (
        SELECT
        FROM pg_depend AS d
        INNER JOIN pg_rewrite AS r ON d.objid = r.oid
        INNER JOIN pg_class AS k ON r.ev_class = k.oid AND k.relkind = 'm'
        WHERE
            d.refobjid = o.object
            AND d.classid = 'pg_rewrite'::regclass
            AND d.refclassid = 'pg_class'::regclass
            AND k.oid <> o.object
    )
),

told AS (
    SELECT
        n.nspname || '.' || c.relname AS what,
        feature_store_audit.query_of(c.oid) AS digest
    FROM view AS v
    INNER JOIN pg_class AS c ON v.oid = c.oid
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
    UNION ALL
    SELECT
        f.what,
        f.form
    FROM feature_store_audit.forms_below(ARRAY(SELECT l.object FROM live AS l)) AS f
)

SELECT coalesce(jsonb_object_agg(t.what, t.digest), '{}') FROM told AS t
$function$;
COMMENT ON FUNCTION feature_store_audit.queries() IS
'A digest of the query of each view of the store, of each training view, and of each plain view below one, by its name; and what forms_below tells of them.';

-- As before, and a training view's own query counts.
CREATE OR REPLACE FUNCTION feature_store_audit.made_of(p_relation regclass)
RETURNS TABLE (object oid, name text, is_layer boolean, has_query boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH RECURSIVE ours AS MATERIALIZED (
    SELECT o.object FROM feature_store_audit.store_view AS o
),

below (object, is_read, is_ours) AS (
    SELECT
        p_relation::oid,
        TRUE,
        FALSE
    UNION
    SELECT
        d.refobjid,
        b.is_read AND k.relkind = 'v',
        b.is_ours OR o.object IS NOT NULL
    FROM below AS b
    INNER JOIN pg_class AS k ON b.object = k.oid
    LEFT JOIN ours AS o ON k.oid = o.object
    INNER JOIN pg_rewrite AS r ON k.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
)

SELECT
    k.oid AS object,
    n.nspname || '.' || k.relname AS name,
    -- One of yours among the sources is like a table: who refreshes it writes its rows.
    k.relkind = 'm' AND o.object IS NOT NULL AS is_layer,
    -- Whose query gives the rows of whoever asks now: below a materialized view only its refresh does.
    bool_or(b.is_read)
    AND (o.object IS NOT NULL OR (bool_or(b.is_ours) AND k.relkind = 'v' AND k.oid >= 16384)) AS has_query
FROM below AS b
INNER JOIN pg_class AS k ON b.object = k.oid AND k.relkind IN ('v', 'm')
INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
LEFT JOIN ours AS o ON k.oid = o.object
GROUP BY k.oid, k.relname, k.relkind, n.nspname, o.object
$function$;

-- Which of the store's certified relations a relation reads that are not under their names any more: readers
-- of the name get another thing, readers of what was renamed get rows that no refresh renews.
CREATE FUNCTION feature_store_audit.displaced(p_relation regclass) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH RECURSIVE below (object) AS (
    SELECT p_relation::oid
    UNION
    SELECT d.refobjid
    FROM below AS b
    INNER JOIN pg_rewrite AS r ON b.object = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
),

found AS (
    SELECT
        n.nspname || '.' || k.relname AS name,
        k.relkind = 'm' AS is_materialized,
        CASE WHEN k.relkind = 'm' THEN pg_relation_filenode(k.oid) END AS file_node
    FROM below AS b
    INNER JOIN pg_class AS k ON b.object = k.oid
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
)

SELECT DISTINCT c.relation
FROM feature_store_audit.certified AS c
-- What was dropped by name is no longer a relation of the store.
INNER JOIN feature_store_audit.definition AS d ON c.relation = d.object
-- What runs have not certified since then may be a plain view by now.
INNER JOIN feature_store_audit.last_certified AS w ON c.dag_id = w.dag_id AND c.run_id = w.run_id
INNER JOIN found AS f
    ON (c.relation = f.name AND NOT f.is_materialized) OR (c.relation <> f.name AND c.file_node = f.file_node)
ORDER BY c.relation
$function$;

-- A plain view has no rows of its own: its query gives them. So the queries must be those that were
-- certified, and so must be what else decides their rows; and no run may have found what they give broken since.
CREATE OR REPLACE FUNCTION feature_store_audit.changed_query(
    p_relation regclass, OUT refusal text, OUT advice text, OUT is_known boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $function$
DECLARE
    v_closure text[];
    v_verdict bigint;
    v_queries jsonb;
    v_is_new boolean; -- a training view that was not there when the store was certified
BEGIN
    is_known := TRUE;
    SELECT array_agg(m.name) INTO v_closure FROM feature_store_audit.made_of(p_relation) AS m;
    -- Runs of before version 0.14 recorded no queries.
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
    SELECT
        format('%s was found broken by run %s', e.relation, s.run_id),
        'Look at the latest run, and wait for the next one.'
    INTO refusal, advice
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
    IF FOUND OR v_queries IS NULL THEN
        RETURN;
    END IF;
    -- A contract may have been stamped since, and runs of before this step recorded no training view.
    SELECT o.is_training AND NOT v_queries ? o.name INTO v_is_new
    FROM feature_store_audit.store_view AS o
    WHERE o.object = p_relation;
    SELECT
        format('%s has another query than the one that was certified', m.name),
        'Look at the latest run, and wait for the next one.'
    INTO refusal, advice
    FROM feature_store_audit.made_of(p_relation) AS m
    WHERE
        m.has_query
        AND v_queries ->> m.name IS DISTINCT FROM feature_store_audit.query_of(m.object)
        AND (v_queries ? m.name OR v_is_new IS NOT TRUE)
    -- What was certified tells more than what came in between, and what a training view reads more than itself.
    ORDER BY NOT v_queries ? m.name, m.name LIKE 'feature\_log.%', m.name
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT
        format('%s changed since the store was certified', f.what),
        'Put it back as it was, or look at the latest run, and wait for the next one.'
    INTO refusal, advice
    FROM feature_store_audit.forms_below(ARRAY[p_relation::oid]) AS f
    WHERE v_queries ? f.what AND v_queries ->> f.what <> f.form
    ORDER BY f.what
    LIMIT 1;
EXCEPTION
    -- To word a view's query the server locks what it reads.
    WHEN lock_not_available THEN
        refusal := format(
            'somebody holds a lock on what %s reads, so its query cannot be looked at', p_relation
        );
        advice := 'Try again in a moment.';
        is_known := FALSE;
END;
$function$;

-- As before, and: what was certified is under its name.
CREATE OR REPLACE FUNCTION feature_store_audit.certificates(p_relations text[])
RETURNS TABLE (
    relation text,
    refusal text,
    advice text,
    is_known boolean,
    has_layers boolean, -- is it made of rows that runs certify?
    as_of_day date,
    run_id text,
    certified_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_relation regclass;
    v_all feature_store_audit.layer_now[] := ARRAY(SELECT l FROM feature_store_audit.layer_now AS l);
    v_layers feature_store_audit.layer_now[];
    v_layer feature_store_audit.layer_now;
    v_displaced text[];
    v_looked jsonb := '{}'; -- what the rows of a layer told, so that they are read once
    v_found record;
BEGIN
    FOREACH relation IN ARRAY p_relations LOOP
        v_relation := to_regclass(relation);
        v_layers := ARRAY(
            SELECT a
            FROM unnest(v_all) AS a
            INNER JOIN feature_store_audit.made_of(v_relation) AS m ON a.object = m.object
            ORDER BY a.relation
        );
        v_displaced := ARRAY(SELECT d.* FROM feature_store_audit.displaced(v_relation) AS d);
        has_layers := v_layers <> '{}' OR v_displaced <> '{}';

        SELECT
            format('%s %s', a.relation, a.words),
            'Wait for the run under way, or look at the latest one.'
        INTO refusal, advice
        FROM unnest(v_layers) AS a
        WHERE a.problem IS NOT NULL
        LIMIT 1;
        is_known := TRUE;
        IF v_relation IS NULL THEN
            refusal := coalesce(replace(relation, '"', ''), 'a relation without a name') || ' does not exist';
            advice := 'Ask whoever owns the store: bin/feature-store plan shows what is missing.';
        ELSIF refusal IS NULL AND v_displaced <> '{}' THEN
            refusal := v_displaced[1] || ' is not the materialized view that was certified';
            advice := 'Ask whoever owns the store: bin/feature-store plan shows what is in its place, or missing.';
        END IF;

        -- What is known to be wrong counts for more than what cannot be looked at.
        IF refusal IS NULL THEN
            SELECT q.* INTO refusal, advice, is_known
            FROM feature_store_audit.changed_query(v_relation) AS q;
        END IF;
        FOREACH v_layer IN ARRAY v_layers LOOP
            EXIT WHEN refusal IS NOT NULL AND is_known;
            CONTINUE WHEN NOT v_layer.is_altered;
            IF NOT v_looked ? v_layer.relation THEN
                v_looked := v_looked || jsonb_build_object(
                    v_layer.relation, to_jsonb(feature_store_audit.changed_rows(v_layer))
                );
            END IF;
            SELECT f.* INTO v_found
            FROM jsonb_to_record(v_looked -> v_layer.relation) AS f (refusal text, advice text, is_known boolean);
            IF v_found.refusal IS NOT NULL THEN
                refusal := v_found.refusal;
                advice := v_found.advice;
                is_known := v_found.is_known;
            END IF;
        END LOOP;

        -- As old as the oldest of what it is made of.
        SELECT
            a.as_of_day,
            a.run_id,
            a.certified_at
        INTO as_of_day, run_id, certified_at
        FROM unnest(v_layers) AS a
        ORDER BY a.certified_at
        LIMIT 1;
        IF refusal IS NULL AND NOT has_layers THEN
            refusal := v_relation || ' reads no materialized view of the store';
            advice := 'No run certifies it.';
        ELSIF
            refusal IS NULL
            AND NOT EXISTS (SELECT FROM feature_store_audit.store_view AS s WHERE s.object = v_relation)
        THEN
            -- It may read certified rows, but what its own query makes of them nobody has proven.
            refusal := v_relation || ' is no relation of the store';
            advice := 'No run certifies it.';
        ELSIF refusal IS NULL AND (SELECT bool_or(a.is_to_come) FROM unnest(v_layers) AS a) THEN
            refusal := format(
                '%s was certified at %s, which is yet to come: the clock of this server was ahead then or is behind now, so nobody can tell how long ago',
                v_relation, (SELECT max(a.certified_at) FROM unnest(v_layers) AS a)
            );
            advice := 'Set the clock right, and wait for the next run.';
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$function$;

-- As before, and: a set's training view, whatever has its name now, and a t0 relation that the record knows as the
-- store's, whatever is in its place.
CREATE OR REPLACE FUNCTION feature_store_audit.read_with(p_sets text[]) RETURNS TABLE (feature_set text, relation text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT
    l.feature_set,
    n.nspname || '.' || quote_ident(c.relname) AS relation
FROM feature_store_audit.feature_log AS l
INNER JOIN pg_class AS c ON c.relname = l.feature_set || '_training' AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid AND n.nspname = 'feature_log'
WHERE l.feature_set = ANY(p_sets)
UNION ALL
SELECT
    l.feature_set,
    l.t0_relation
FROM feature_store_audit.feature_log AS l
WHERE
    l.feature_set = ANY(p_sets)
    -- Tables of yours have no certificate.
    AND (
        EXISTS (SELECT FROM feature_store_audit.made_of(to_regclass(l.t0_relation)) AS m WHERE m.is_layer)
        OR EXISTS (SELECT FROM feature_store_audit.displaced(to_regclass(l.t0_relation)))
        OR EXISTS (
            SELECT
            FROM feature_store_audit.certified AS c
            INNER JOIN feature_store_audit.definition AS d ON c.relation = d.object
            INNER JOIN feature_store_audit.last_certified AS w ON c.dag_id = w.dag_id AND c.run_id = w.run_id
            WHERE c.relation = array_to_string(parse_ident(l.t0_relation), '.')
        )
    )
ORDER BY feature_set, relation
$function$;

REVOKE ALL ON FUNCTION feature_store_audit.forms_below(oid[]), feature_store_audit.displaced(regclass) FROM public;
