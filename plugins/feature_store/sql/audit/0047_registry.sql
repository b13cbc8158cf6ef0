-- Two things that decide what readers of a set get, and that no certificate knew: which relation the registry says
-- carries it, and that a run has found its log other than it was sealed.

-- Which relation carries each feature set now.
CREATE FUNCTION feature_store_audit.binding() RETURNS TABLE (feature_set text, relation text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_registry text := (SELECT s.governed_schemas[1] FROM feature_store_audit.store AS s);
BEGIN
    IF to_regclass(format('%I.feature_set_binding', v_registry)) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT s.name, b.relation_name '
        || 'FROM %1$I.feature_set AS s INNER JOIN %1$I.feature_set_binding AS b ON s.set_id = b.set_id',
        v_registry
    );
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.binding() IS
'The relation that carries each feature set, as the registry has it now.';

-- As before, and the relation that carries each set.
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
    UNION ALL
    SELECT
        'the binding of ' || b.feature_set AS what,
        b.relation AS form
    FROM feature_store_audit.binding() AS b
)

SELECT coalesce(jsonb_object_agg(t.what, t.digest), '{}') FROM told AS t
$function$;
COMMENT ON FUNCTION feature_store_audit.queries() IS
'A digest of the query of each view of the store, of each training view, and of each plain view below one, by its name; and what forms_below and binding tell.';

CREATE TABLE feature_store_audit.broken_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    feature_set text NOT NULL REFERENCES feature_store_audit.feature_log (feature_set),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
COMMENT ON TABLE feature_store_audit.broken_log IS
'The feature logs that runs found not as they were sealed. It holds until a run is certified, which takes every log as it was sealed.';

CREATE FUNCTION feature_store_audit.keep_broken_logs(p_dag_id text, p_run_id text, p_sets text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
INSERT INTO feature_store_audit.broken_log (feature_set, dag_id, run_id)
SELECT
    l.feature_set,
    p_dag_id,
    p_run_id
FROM feature_store_audit.feature_log AS l
WHERE
    l.feature_set = ANY(p_sets)
    AND EXISTS (SELECT FROM feature_store_audit.broken_servings(l.feature_set))
$function$;
COMMENT ON FUNCTION feature_store_audit.keep_broken_logs(text, text, text[]) IS
'Records which of these sets'' logs are not as they were sealed.';

-- What the last certified run says of the set that a relation carries, or whose training view it is.
CREATE FUNCTION feature_store_audit.changed_set(p_relation text, OUT refusal text, OUT advice text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_verdict bigint;
    v_queries jsonb;
BEGIN
    SELECT
        v.event_id,
        v.queries
    INTO v_verdict, v_queries
    FROM feature_store_audit.last_certified AS c
    INNER JOIN feature_store_audit.verdict_log AS v
        ON c.dag_id = v.dag_id AND c.run_id = v.run_id AND v.verdict = 'passed'
    ORDER BY v.event_id DESC
    LIMIT 1;
    -- Runs of before this step recorded no binding, and a set may have been stamped since.
    SELECT
        format(
            '%s is bound to %s, but was certified bound to %s',
            b.feature_set, b.relation, v_queries ->> ('the binding of ' || b.feature_set)
        ),
        format(
            'bin/feature-store stamp-contract %s binds it as its file says; if that is meant, wait for the next run.',
            b.feature_set
        )
    INTO refusal, advice
    FROM feature_store_audit.binding() AS b
    WHERE to_regclass(b.relation) = to_regclass(p_relation) AND v_queries ->> ('the binding of ' || b.feature_set) <> b.relation
    ORDER BY b.feature_set
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT
        format('the log of %s was found not as it was sealed by run %s', l.feature_set, l.run_id),
        'Mend it as that run''s mail says, or seal it anew by bin/feature-store seal-log, and wait for the next run.'
    INTO refusal, advice
    FROM feature_store_audit.broken_log AS l
    WHERE
        l.event_id > v_verdict
        AND to_regclass(format('feature_log.%I', l.feature_set || '_training')) = to_regclass(p_relation)
    ORDER BY l.event_id DESC
    LIMIT 1;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.changed_set(text) IS
'Why readers of the set that a relation carries, or whose training view it is, are refused; NULL: no reason.';

-- As before, and: the sets are bound as they were certified, and their logs are as they were sealed.
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
        ELSIF refusal IS NULL THEN
            SELECT s.* INTO refusal, advice FROM feature_store_audit.changed_set(relation) AS s;
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

REVOKE ALL ON FUNCTION
feature_store_audit.binding(), feature_store_audit.changed_set(text), feature_store_audit.keep_broken_logs(text, text, text[])
FROM public;
