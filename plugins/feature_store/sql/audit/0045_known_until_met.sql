-- What an expectation found has a number of its own. The verdict may compare a plain view once more, long after the
-- suite whose try it belongs to. NULL: of before this; found by its suite.
ALTER TABLE feature_store_audit.expectation_log ADD COLUMN event_id bigint;
ALTER TABLE feature_store_audit.expectation_log
ALTER COLUMN event_id SET DEFAULT nextval('feature_store_audit.event');
COMMENT ON COLUMN feature_store_audit.expectation_log.event_id IS
'When it was found, in the order of all that the record has. NULL: with the try of its suite.';

-- As before, but what was found broken is known until a later try of the suite finds it met, or a run is certified.
-- To clear the run proves nothing, and a try that could not look has found nothing. And whoever asks keeps no lock:
-- to word a view's query the server locks all that it reads, for as long as the reader's transaction is open.
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
        coalesce(e.event_id, s.event_id) > v_verdict
        AND e.relation = ANY(v_closure)
        AND e.severity = 'critical'
        AND e.outcome = 'broken'
        AND NOT EXISTS (
            SELECT
            FROM feature_store_audit.suite_log AS o
            INNER JOIN feature_store_audit.expectation_log AS a ON o.event_id = a.suite_event
            WHERE
                o.dag_id = s.dag_id AND o.run_id = s.run_id AND o.suite = s.suite
                AND coalesce(a.event_id, o.event_id) > coalesce(e.event_id, s.event_id)
                AND a.expectation = e.expectation AND a.outcome = 'met'
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
    IF NOT FOUND THEN
        SELECT
            format('%s changed since the store was certified', f.what),
            'Put it back as it was, or look at the latest run, and wait for the next one.'
        INTO refusal, advice
        FROM feature_store_audit.forms_below(ARRAY[p_relation::oid]) AS f
        WHERE v_queries ? f.what AND v_queries ->> f.what <> f.form
        ORDER BY f.what
        LIMIT 1;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'FS002', MESSAGE = 'looked';
EXCEPTION
    -- What was found stays in the variables; the locks go.
    WHEN SQLSTATE 'FS002' THEN
        NULL;
    -- To word a view's query the server locks what it reads.
    WHEN lock_not_available THEN
        refusal := format(
            'somebody holds a lock on what %s reads, so its query cannot be looked at', p_relation
        );
        advice := 'Try again in a moment.';
        is_known := FALSE;
END;
$function$;

-- The same of a layer's rows.
CREATE OR REPLACE FUNCTION feature_store_audit.changed_rows(
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
    RAISE EXCEPTION USING ERRCODE = 'FS002', MESSAGE = 'looked';
EXCEPTION
    WHEN SQLSTATE 'FS002' THEN
        NULL;
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

-- A publication of all tables lets nobody delete from a table whose rows it cannot name, so nothing could be
-- forgotten. A proof may be in it twice, so it has no key.
ALTER TABLE feature_store_audit.proof_log REPLICA IDENTITY FULL;
