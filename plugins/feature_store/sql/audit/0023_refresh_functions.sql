-- Refreshing. PostgreSQL lets only a view's owner refresh it, and since 17 whom he lets maintain it. So
-- the owner's functions do it, on every version: whoever may call them can do nothing else to a view.
CREATE FUNCTION feature_store_audit.own_view(p_relation text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_view text;
BEGIN
    SELECT format('%I.%I', n.nspname, c.relname) INTO v_view
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n
        ON c.relnamespace = n.oid AND c.relkind = 'm' AND n.nspname IN ('ml', 'feature_store')
    INNER JOIN feature_store_audit.definition AS d ON d.object = n.nspname || '.' || c.relname
    WHERE d.object = p_relation;
    IF v_view IS NULL THEN
        RAISE EXCEPTION '% is no materialized view of the store', p_relation
        USING ERRCODE = 'undefined_table';
    END IF;
    RETURN v_view;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.own_view(text) IS
'The quoted name of a materialized view that apply made or adopted. Raises for anything else.';

-- A policy is somebody's code: what would run one is refused, whatever the caller has set.
CREATE FUNCTION feature_store_audit.refresh_view(
    p_token bigint, p_relation text, p_concurrently boolean
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    EXECUTE format(
        'REFRESH MATERIALIZED VIEW %s %s',
        CASE WHEN p_concurrently THEN 'CONCURRENTLY' END,
        feature_store_audit.own_view(p_relation)
    );
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.refresh_view(bigint, text, boolean) IS
'Refreshes a materialized view of the store, for whoever holds the lease under this token.';

CREATE FUNCTION feature_store_audit.analyze_view(p_relation text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
BEGIN
    EXECUTE format('ANALYZE %s', feature_store_audit.own_view(p_relation));
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.analyze_view(text) IS
'Gathers the statistics of a materialized view of the store.';

REVOKE ALL ON FUNCTION feature_store_audit.own_view(text) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.refresh_view(bigint, text, boolean) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.analyze_view(text) FROM public;
