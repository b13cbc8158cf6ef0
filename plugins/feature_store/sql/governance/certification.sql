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
    v_certificate record;
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

    -- And of what its readers read with it: a model is made of t0 and labels, too.
    SELECT c.* INTO v_certificate
    FROM feature_store_audit.certificates(
        ARRAY[v_carrier] || ARRAY(SELECT w.relation FROM feature_store_audit.read_with(ARRAY[p_set]) AS w WHERE w.relation <> v_carrier)
    ) AS c
    ORDER BY c.refusal IS NULL, NOT c.is_known, c.certified_at
    LIMIT 1;
    IF v_certificate.refusal IS NOT NULL THEN
        RAISE EXCEPTION 'NOT CERTIFIED: %', v_certificate.refusal
        USING HINT = v_certificate.advice || ' Its DAG is :dag_id.';
    END IF;
    as_of_day := v_certificate.as_of_day;
    run_id := v_certificate.run_id;
    certified_at := v_certificate.certified_at;
    IF certified_at < statement_timestamp() - p_max_age THEN
        RAISE EXCEPTION 'CERTIFICATION TOO OLD: % was last certified at %, more than % ago',
            p_set, certified_at, p_max_age
        USING HINT = 'Look at the latest run of :dag_id.';
    END IF;
    RETURN NEXT;
END;
$function$;
COMMENT ON FUNCTION :"schema".require_certified(text, interval) IS
'Raises unless a set''s rows, t0 and labels were all proven by a whole run at most max_age ago; says which run. Call it after assert_feature_contract.';
