-- Freshness, for whoever watches the store: how long ago did a whole run certify it? A run that fails
-- sends a mail. A DAG that cannot be imported and a scheduler that is down send none: ask from
-- outside of Airflow. The same file serves every governed schema of a store; for the one of include/:
--   sed -e 's/:"schema"/ml/g' -e "s/:'newest_fact'/'listings of the newest day'/" freshness.sql | psql
--   sed -e 's/:"schema"/feature_store/g' -e "s/:'newest_fact'/'listings of the newest day'/" freshness.sql | psql
-- One row, whatever the state of the store. It runs with its owner's privileges, so a monitor needs
-- none on the audit schema.
CREATE FUNCTION :"schema".store_freshness(p_max_age interval)
RETURNS TABLE (
    ok boolean,
    certified_at timestamptz,
    age interval,
    as_of_day date,
    run_id text,
    feature_set text,
    readable boolean,
    problem text,
    sources_until date
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_is_to_come boolean;
BEGIN
    SELECT s.name INTO feature_set
    FROM :"schema".feature_set_current AS a
    INNER JOIN :"schema".feature_set AS s ON a.set_id = s.set_id;

    SELECT
        c.certified_at,
        c.as_of_day,
        c.run_id,
        c.is_to_come
    INTO certified_at, as_of_day, run_id, v_is_to_come
    FROM feature_store_audit.last_certified AS c;
    age := statement_timestamp() - certified_at;

    -- A feed that has died leaves the store as fresh as its runs, and its rows older every day.
    sources_until := feature_store_audit.sources_until(:'newest_fact');

    -- While a run is under way its rows are not certified yet. That is no reason for an alarm, so ok
    -- goes by the age alone.
    BEGIN
        PERFORM :"schema".require_certified(feature_set, p_max_age);
        readable := TRUE;
    EXCEPTION
        WHEN raise_exception THEN
            readable := FALSE;
            problem := SQLERRM;
    END;
    IF feature_set IS NULL THEN
        problem := 'no feature set is active: its contract has never been stamped';
    END IF;
    -- Certified at a moment that is yet to come: a clock was wrong, so that nobody can tell its age.
    ok := coalesce(
        feature_set IS NOT NULL AND age <= p_max_age AND NOT v_is_to_come, FALSE
    );
    RETURN NEXT;
END;
$function$;
COMMENT ON FUNCTION :"schema".store_freshness(interval) IS
'ok: certified at most max_age ago. readable: require_certified lets readers through; problem: why not. sources_until: the newest day of the sources.';
