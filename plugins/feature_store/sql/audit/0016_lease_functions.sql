-- What of the record must change or go passes through these functions. They run with their owner's
-- privileges and look names up in pg_catalog alone. include/roles.sql says who may call which.

-- The lease: whose turn it is. Its token only ever rises.
CREATE FUNCTION feature_store_audit.confirm_lease(p_dag_id text, p_run_id text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
UPDATE feature_store_audit.lease AS l SET seen_at = clock_timestamp()
WHERE l.dag_id = p_dag_id AND l.run_id = p_run_id
RETURNING l.token
$function$;
COMMENT ON FUNCTION feature_store_audit.confirm_lease(text, text) IS
'Says that the run which holds the lease is alive, and gives its token; NULL if it does not hold it.';

CREATE FUNCTION feature_store_audit.take_lease(p_dag_id text, p_run_id text, p_token bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_token bigint;
BEGIN
    -- Who works under the lease holds it FOR KEY SHARE, which an UPDATE alone would not wait for.
    PERFORM FROM feature_store_audit.lease AS l WHERE l.token = p_token FOR UPDATE;
    UPDATE feature_store_audit.lease AS l
    SET
        token = l.token + 1,
        dag_id = p_dag_id,
        run_id = p_run_id,
        taken_at = clock_timestamp(),
        seen_at = clock_timestamp()
    WHERE l.token = p_token
    RETURNING l.token INTO v_token;
    IF v_token IS NULL THEN
        RAISE EXCEPTION 'the lease has another token than % by now', p_token
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN v_token;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.take_lease(text, text, bigint) IS
'Gives the lease to a run and raises its token, if the token is still the one that the caller saw.';

CREATE FUNCTION feature_store_audit.release_lease(p_dag_id text, p_run_id text) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH released AS (
    UPDATE feature_store_audit.lease AS l
    SET dag_id = NULL, run_id = NULL, seen_at = clock_timestamp()
    WHERE l.dag_id = p_dag_id AND l.run_id = p_run_id
    RETURNING 1
)

SELECT count(*) > 0 FROM released
$function$;
COMMENT ON FUNCTION feature_store_audit.release_lease(text, text) IS
'Gives the lease back. False if the run did not hold it.';

CREATE FUNCTION feature_store_audit.require_lease(p_token bigint)
RETURNS feature_store_audit.lease
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease;
BEGIN
    SELECT l.* INTO v_lease
    FROM feature_store_audit.lease AS l
    WHERE l.token = p_token AND l.run_id IS NOT NULL
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody holds the lease under the token %', p_token
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN v_lease;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.require_lease(bigint) IS
'Keeps the lease from changing hands until the transaction ends. Raises if its token is another one.';
