-- As before, but what a suite found broken is known until a later try of it finds it met, or a run is certified. To
-- clear the run proves nothing, and a try that could not look has found nothing.
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
        AND NOT EXISTS (
            SELECT
            FROM feature_store_audit.suite_log AS o
            INNER JOIN feature_store_audit.expectation_log AS a ON o.event_id = a.suite_event
            WHERE
                o.dag_id = s.dag_id AND o.run_id = s.run_id AND o.suite = s.suite
                AND o.event_id > s.event_id
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
