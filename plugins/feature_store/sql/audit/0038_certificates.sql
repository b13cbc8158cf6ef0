-- May a relation be read now? One answer for all who are asked: require_certified raises it; the page, status,
-- mails and reports tell it. Until now each of them had rules of its own.

-- As before, and whether that moment is yet to come. A minute for a clock that is set right by a little: what
-- is further ahead could pass for young for as long as it likes.
CREATE OR REPLACE VIEW feature_store_audit.certified AS
SELECT
    c.relation,
    c.refresh_id,
    c.file_node,
    c.dag_id,
    c.run_id,
    c.as_of_day,
    c.certified_at,
    w.run_id AS withdrawn_by,
    c.version,
    c.event_id,
    c.certified_at > statement_timestamp() + interval '1 minute' AS is_to_come
FROM (
    SELECT DISTINCT ON (l.relation) l.*
    FROM feature_store_audit.certification_log AS l
    ORDER BY l.relation ASC, l.event_id DESC
) AS c
LEFT JOIN feature_store_audit.withdrawal_log AS w ON c.event_id = w.certification_event;
COMMENT ON COLUMN feature_store_audit.certified.is_to_come IS
'It was certified at a moment that is yet to come, so a clock was wrong, and nobody can tell how long ago.';

-- The DAG certifies all relations or none. What was dropped by name is no longer a relation of the store.
CREATE VIEW feature_store_audit.last_certified AS
SELECT
    c.dag_id,
    c.run_id,
    c.as_of_day,
    c.certified_at,
    c.is_to_come
FROM feature_store_audit.certified AS c
INNER JOIN feature_store_audit.definition AS d ON c.relation = d.object
ORDER BY c.event_id DESC
LIMIT 1;
COMMENT ON VIEW feature_store_audit.last_certified IS
'The run that certified the store last; no row if none ever did.';

CREATE FUNCTION feature_store_audit.sources_until(p_fact text) RETURNS date
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT max(d.day)
FROM feature_store_audit.fact AS f
INNER JOIN feature_store_audit.latest_refresh AS r ON f.refresh_id = r.refresh_id
CROSS JOIN LATERAL (SELECT (f.sample -> 0 ->> 'day')::date AS day) AS d
-- No day of a source that is meant. Clients cannot read others, either.
WHERE f.fact = p_fact AND d.day BETWEEN '0001-01-01' AND '9999-12-31'
$function$;
COMMENT ON FUNCTION feature_store_audit.sources_until(text) IS
'The newest day of the sources, as the latest refreshes saw it; NULL if none recorded this fact.';

-- One materialized view and its certificate, by the record and the catalog alone.
CREATE VIEW feature_store_audit.layer_now AS
WITH layer AS (
    SELECT
        d.object AS relation,
        k.oid AS object,
        r.outcome IS NOT NULL AND coalesce(c.version, r.version, '') <> k.xmin::text AS is_altered,
        r.outcome AS rows_left,
        c.file_node,
        c.as_of_day,
        c.run_id,
        c.certified_at,
        c.is_to_come,
        c.withdrawn_by,
        l.run_id AS refreshed_by,
        l.finished_at AS refreshed_at,
        CASE
            WHEN c.relation IS NULL THEN 'never certified'
            WHEN coalesce(c.refresh_id <> l.refresh_id, TRUE) THEN 'refreshed'
            WHEN c.withdrawn_by IS NOT NULL THEN 'withdrawn'
            WHEN coalesce(c.file_node <> pg_relation_filenode(k.oid), TRUE) THEN 'rewritten'
        END AS problem
    FROM pg_class AS k
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid AND k.relkind = 'm'
    INNER JOIN feature_store_audit.definition AS d ON d.object = n.nspname || '.' || k.relname
    LEFT JOIN feature_store_audit.certified AS c ON d.object = c.relation
    LEFT JOIN feature_store_audit.refresh AS r ON c.refresh_id = r.refresh_id
    LEFT JOIN feature_store_audit.latest_refresh AS l ON c.relation = l.relation
)

SELECT
    l.relation,
    l.object,
    l.problem,
    CASE l.problem
        WHEN 'never certified' THEN 'has never been certified'
        WHEN 'refreshed'
            THEN format(
                'was refreshed at %s by run %s, which has not been certified',
                date_trunc('second', l.refreshed_at), l.refreshed_by
            )
        WHEN 'withdrawn' THEN format('was found broken by run %s', l.withdrawn_by)
        WHEN 'rewritten'
            THEN 'was rewritten since it was certified: replaced by apply, refreshed by hand, or by VACUUM FULL'
    END AS words,
    l.is_altered,
    l.rows_left,
    l.file_node,
    l.as_of_day,
    l.run_id,
    l.certified_at,
    l.is_to_come
FROM layer AS l;
COMMENT ON VIEW feature_store_audit.layer_now IS
'Each materialized view of the store that is there, and its certificate.';
COMMENT ON COLUMN feature_store_audit.layer_now.problem IS
'Why its rows are not the certified ones; NULL if neither the record nor the catalog says so.';
COMMENT ON COLUMN feature_store_audit.layer_now.is_altered IS
'It was altered since, or refreshed concurrently by hand; its rows tell which.';

-- A digest of a view's query, as queries() gives it for all.
CREATE FUNCTION feature_store_audit.query_of(p_view oid) RETURNS text
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
SELECT encode(sha256(convert_to(c.relkind::text || pg_get_viewdef(c.oid), 'UTF8')), 'hex')
FROM pg_class AS c
WHERE c.oid = p_view
$function$;

CREATE OR REPLACE FUNCTION feature_store_audit.queries() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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

SELECT coalesce(jsonb_object_agg(n.nspname || '.' || c.relname, feature_store_audit.query_of(c.oid)), '{}')
FROM view AS v
INNER JOIN pg_class AS c ON v.oid = c.oid
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
$function$;

-- What a relation's rows come from, by the catalog: itself, and every view below it.
CREATE FUNCTION feature_store_audit.made_of(p_relation regclass)
RETURNS TABLE (object oid, name text, is_layer boolean, has_query boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH RECURSIVE below (object, is_read, is_ours) AS (
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
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
    LEFT JOIN feature_store_audit.definition AS o ON o.object = n.nspname || '.' || k.relname
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
LEFT JOIN feature_store_audit.definition AS o ON o.object = n.nspname || '.' || k.relname
GROUP BY k.oid, k.relname, k.relkind, n.nspname, o.object
$function$;

-- A concurrent refresh by hand keeps the file. It writes the view's row of pg_class anew, and so do GRANT
-- and ALTER. Where somebody did, the rows tell: where each one stands, and which transaction wrote it.
CREATE FUNCTION feature_store_audit.changed_rows(
    p_layer feature_store_audit.layer_now, OUT refusal text, OUT advice text, OUT is_known boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $function$
DECLARE
    v_rows text;
BEGIN
    is_known := TRUE;
    EXECUTE format(
        'SELECT concat_ws(''/'', count(*), sum(hashtidextended(t.ctid, t.xmin::text::bigint))) FROM ONLY %s AS t',
        p_layer.object::regclass
    ) INTO v_rows;
    IF right(p_layer.rows_left, length(v_rows) + 1) IS DISTINCT FROM '/' || v_rows THEN
        refusal := p_layer.relation || CASE
            WHEN p_layer.file_node IS DISTINCT FROM pg_relation_filenode(p_layer.object)
                THEN ' was written anew at this very moment'
            ELSE ' was refreshed by hand since it was certified'
        END;
        advice := 'Wait for the next run, which proves the rows anew.';
    END IF;
EXCEPTION
    -- Nobody is kept waiting here for a layer that they may not even read.
    WHEN lock_not_available THEN
        refusal := p_layer.relation || ' was altered or refreshed by hand since it was certified, and somebody holds a lock on it, so its rows cannot be looked at';
        advice := 'Try again in a moment.';
        is_known := FALSE;
    WHEN insufficient_privilege THEN
        refusal := format(
            '%s was altered or refreshed by hand since it was certified, and %s may not look at its rows',
            p_layer.relation, current_user
        );
        advice := format('GRANT SELECT ON %s TO %I, or wait for the next run.', p_layer.relation, current_user);
END;
$function$;

-- A plain view has no rows of its own: its query gives them. So the queries must be those that were
-- certified, and no run may have found what they give broken since.
CREATE FUNCTION feature_store_audit.changed_query(
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
    SELECT
        format('%s has another query than the one that was certified', m.name),
        'Look at the latest run, and wait for the next one.'
    INTO refusal, advice
    FROM feature_store_audit.made_of(p_relation) AS m
    WHERE m.has_query AND v_queries ->> m.name IS DISTINCT FROM feature_store_audit.query_of(m.object)
    ORDER BY m.name
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

CREATE FUNCTION feature_store_audit.certificates(p_relations text[])
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
        has_layers := v_layers <> '{}';

        SELECT
            format('%s %s', a.relation, a.words),
            'Wait for the run under way, or look at the latest one.'
        INTO refusal, advice
        FROM unnest(v_layers) AS a
        WHERE a.problem IS NOT NULL
        LIMIT 1;
        is_known := TRUE;
        IF v_relation IS NULL THEN
            refusal := coalesce(relation, 'a relation without a name') || ' does not exist';
            advice := 'Ask whoever owns the store: bin/feature-store plan shows what is missing.';
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
COMMENT ON FUNCTION feature_store_audit.certificates(text[]) IS
'Of each relation why it may not be read now, as require_certified raises it; NULL if it may. is_known: not hidden by a lock.';

CREATE FUNCTION feature_store_audit.read_with(p_sets text[]) RETURNS TABLE (feature_set text, relation text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT
    l.feature_set,
    r.relation
FROM feature_store_audit.feature_log AS l
LEFT JOIN (
    pg_class AS c
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid AND n.nspname = 'feature_log' AND c.relkind = 'v'
) ON c.relname = l.feature_set || '_training'
CROSS JOIN LATERAL (VALUES (l.t0_relation), (n.nspname || '.' || quote_ident(c.relname))) AS r (relation)
WHERE
    l.feature_set = ANY(p_sets)
    -- Tables of yours have no certificate.
    AND EXISTS (SELECT FROM feature_store_audit.made_of(to_regclass(r.relation)) AS m WHERE m.is_layer)
$function$;
COMMENT ON FUNCTION feature_store_audit.read_with(text[]) IS
'What readers of a feature set read beside its own relation: where its t0 stands, and the training view, which has the labels.';

REVOKE ALL ON FUNCTION feature_store_audit.sources_until(text), feature_store_audit.query_of(oid),
feature_store_audit.made_of(regclass), feature_store_audit.changed_rows(feature_store_audit.layer_now),
feature_store_audit.changed_query(regclass), feature_store_audit.certificates(text[]),
feature_store_audit.read_with(text[]) FROM public;
