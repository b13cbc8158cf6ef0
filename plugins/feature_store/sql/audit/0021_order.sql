-- Order without clocks: when a backfill was asked for, by transactions of this very server.
CREATE TABLE feature_store_audit.asking_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    go text NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    asked_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    UNIQUE (dag_id, run_id, go)
);
COMMENT ON TABLE feature_store_audit.asking_log IS
'When each go of a backfill''s run first reached the store, before its turn. A refresh whose snapshot saw the transaction began later.';
COMMENT ON COLUMN feature_store_audit.asking_log.go IS
'Tells the goes of a run apart: one that is cleared is asked for anew.';

-- Which of the record's numbers the verdict has, so that what came after it is known.
CREATE OR REPLACE VIEW feature_store_audit.run AS
SELECT
    o.dag_id,
    o.run_id,
    o.run_type,
    o.as_of_day,
    o.zone,
    o.prepared_at,
    o.server_version,
    v.verdict,
    v.verdict_at,
    v.problem,
    o.event_id,
    v.event_id AS verdict_event
FROM (
    SELECT DISTINCT ON (l.dag_id, l.run_id) l.*
    FROM feature_store_audit.run_log AS l
    ORDER BY l.dag_id ASC, l.run_id ASC, l.event_id DESC
) AS o
LEFT JOIN LATERAL (
    SELECT g.*
    FROM feature_store_audit.verdict_log AS g
    WHERE g.dag_id = o.dag_id AND g.run_id = o.run_id AND g.event_id > o.event_id
    ORDER BY g.event_id DESC
    LIMIT 1
) AS v ON TRUE;

-- What must hit a row looks that it did.
CREATE OR REPLACE FUNCTION feature_store_audit.keep_seen(p_token bigint, p_layer text, p_seen jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    UPDATE feature_store_audit.history_layer AS h SET seen = p_seen WHERE h.layer = p_layer;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the layer % has no baseline', p_layer;
    END IF;
END;
$function$;

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
        RETURNING c.day, c.came, c.copy, c.row_key, c.digest, c.columns
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
        INSERT INTO feature_store_audit.history_row (layer, day, copy, row_key, digest, columns)
        SELECT p_layer, a.day, a.copy, a.row_key, a.digest, a.columns
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
