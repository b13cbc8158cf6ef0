-- What the rows of inputs said: a changed row is told with its old value and its new one.
ALTER TABLE feature_store_audit.history_row ADD COLUMN said text;
COMMENT ON COLUMN feature_store_audit.history_row.said IS
'Of an input with a key: its values in order, the first 40 characters of each, between chr(31); chr(30) is NULL. NULL of all others.';
ALTER TABLE feature_store_audit.history_change ADD COLUMN said text;
COMMENT ON COLUMN feature_store_audit.history_change.said IS
'As in history_row.';
ALTER TABLE feature_store_audit.history_layer ADD COLUMN said_kept boolean NOT NULL DEFAULT FALSE;
COMMENT ON COLUMN feature_store_audit.history_layer.said_kept IS
'Whether it was seen to that the rows of the baseline have their values, which earlier versions did not keep.';

CREATE OR REPLACE FUNCTION feature_store_audit.set_days(
    p_layer text, p_days date[], p_counts bigint[], p_digests bytea[], p_dag_id text, p_run_id text
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lost bigint;
BEGIN
    WITH applied AS (
        DELETE FROM feature_store_audit.history_change AS c
        WHERE c.layer = p_layer AND c.day = ANY(p_days)
        RETURNING c.day, c.came, c.copy, c.row_key, c.digest, c.columns, c.said
    ),

    gone AS (
        DELETE FROM feature_store_audit.history_row AS r
        USING applied AS a
        WHERE
            NOT a.came
            AND r.layer = p_layer
            AND r.day = ANY(p_days)
            AND r.day = a.day
            AND r.copy = a.copy
            AND r.row_key = a.row_key
            AND r.digest = a.digest
        RETURNING 1
    ),

    arrived AS (
        INSERT INTO feature_store_audit.history_row (layer, day, copy, row_key, digest, columns, said)
        SELECT p_layer, a.day, a.copy, a.row_key, a.digest, a.columns, a.said
        FROM applied AS a
        WHERE a.came
    )

    SELECT (SELECT count(*) FROM applied AS a WHERE NOT a.came) - (SELECT count(*) FROM gone)
    INTO v_lost;
    IF v_lost <> 0 THEN
        RAISE EXCEPTION '% rows that went are not in the baseline of %', v_lost, p_layer;
    END IF;

    DELETE FROM feature_store_audit.history_day AS h
    USING unnest(p_days, p_counts) AS d (day, row_count)
    WHERE h.layer = p_layer AND h.day = d.day AND d.row_count = 0;

    INSERT INTO feature_store_audit.history_day (layer, day, row_count, fingerprint, dag_id, run_id)
    SELECT p_layer, d.day, d.row_count, d.fingerprint, p_dag_id, p_run_id
    FROM unnest(p_days, p_counts, p_digests) AS d (day, row_count, fingerprint)
    WHERE d.row_count > 0
    ON CONFLICT (layer, day) DO UPDATE SET
        row_count = excluded.row_count,
        fingerprint = excluded.fingerprint,
        dag_id = excluded.dag_id,
        run_id = excluded.run_id,
        set_at = transaction_timestamp();
END;
$function$;

CREATE FUNCTION feature_store_audit.keep_said(
    p_token bigint,
    p_layer text,
    p_days date[],
    p_copies integer[],
    p_keys text[],
    p_digests bytea[],
    p_said text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    UPDATE feature_store_audit.history_row AS r SET said = n.said
    FROM unnest(p_days, p_copies, p_keys, p_digests, p_said) AS n (day, copy, row_key, digest, said)
    WHERE
        r.layer = p_layer
        AND r.day = ANY(p_days)
        AND r.day = n.day
        AND r.copy = n.copy
        AND r.row_key = n.row_key
        AND r.digest = n.digest
        AND r.said IS NULL;
    UPDATE feature_store_audit.history_layer AS h SET said_kept = TRUE WHERE h.layer = p_layer;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the layer % has no baseline', p_layer;
    END IF;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.keep_said(bigint, text, date[], integer[], text[], bytea[], text[]) IS
'Gives rows of a baseline that have none their values, where key and digest are theirs. Changes nothing that is there.';
REVOKE ALL ON FUNCTION feature_store_audit.keep_said(bigint, text, date[], integer[], text[], bytea[], text[]) FROM public;
