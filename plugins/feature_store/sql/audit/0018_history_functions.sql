-- The baseline of history moves by these functions, and by them alone it is accepted that it moved.
CREATE FUNCTION feature_store_audit.begin_baseline(
    p_token bigint, p_layer text, p_relation text, p_definitions jsonb, p_details text
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_finding bigint;
BEGIN
    IF EXISTS (
        SELECT FROM feature_store_audit.history_layer AS h
        WHERE h.layer = p_layer AND h.definitions = p_definitions
    ) THEN
        RAISE EXCEPTION 'the baseline of % stands on these definitions', p_layer;
    END IF;
    -- Nobody makes a baseline anew without a trace.
    IF EXISTS (SELECT FROM feature_store_audit.history_layer AS h WHERE h.layer = p_layer) THEN
        INSERT INTO feature_store_audit.history_finding_log (kind, layer, relation, dag_id, run_id)
        VALUES ('definition', p_layer, p_relation, v_lease.dag_id, v_lease.run_id)
        RETURNING finding_id INTO v_finding;
        INSERT INTO feature_store_audit.history_sighting_log (
            finding_id, rows_came, rows_went, rows_changed, changed_columns, examples, reaches,
            details, row_count, dag_id, run_id
        )
        VALUES (
            v_finding, 0, 0, 0, '{}', '[]', '[]', p_details, 0, v_lease.dag_id, v_lease.run_id
        );
    END IF;
    INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome)
    SELECT f.finding_id, 'redefined'
    FROM feature_store_audit.history_finding AS f
    WHERE f.layer = p_layer AND f.outcome IS NULL;
    DELETE FROM feature_store_audit.history_row AS r WHERE r.layer = p_layer;
    DELETE FROM feature_store_audit.history_change AS c WHERE c.layer = p_layer;
    DELETE FROM feature_store_audit.history_day AS d WHERE d.layer = p_layer;
    INSERT INTO feature_store_audit.history_layer AS h (layer, definitions, dag_id, run_id)
    VALUES (p_layer, p_definitions, v_lease.dag_id, v_lease.run_id)
    ON CONFLICT (layer) DO UPDATE SET
        definitions = excluded.definitions,
        dag_id = excluded.dag_id,
        run_id = excluded.run_id,
        set_at = transaction_timestamp(),
        seen = NULL;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.begin_baseline(bigint, text, text, jsonb, text) IS
'Forgets the baseline of a layer whose definitions have changed, so that a new one can be written, and records that it did. What was open about it is closed.';

CREATE FUNCTION feature_store_audit.set_days(
    p_layer text, p_days date[], p_counts bigint[], p_digests bytea[], p_dag_id text, p_run_id text
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
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
)

INSERT INTO feature_store_audit.history_row (layer, day, copy, row_key, digest, columns)
SELECT p_layer, a.day, a.copy, a.row_key, a.digest, a.columns
FROM applied AS a
WHERE a.came;

WITH day AS (
    SELECT d.* FROM unnest(p_days, p_counts, p_digests) AS d (day, row_count, fingerprint)
),

emptied AS (
    DELETE FROM feature_store_audit.history_day AS h
    USING day AS d
    WHERE h.layer = p_layer AND h.day = d.day AND d.row_count = 0
)

INSERT INTO feature_store_audit.history_day (layer, day, row_count, fingerprint, dag_id, run_id)
SELECT p_layer, d.day, d.row_count, d.fingerprint, p_dag_id, p_run_id
FROM day AS d
WHERE d.row_count > 0
ON CONFLICT (layer, day) DO UPDATE SET
    row_count = excluded.row_count,
    fingerprint = excluded.fingerprint,
    dag_id = excluded.dag_id,
    run_id = excluded.run_id,
    set_at = transaction_timestamp();
$function$;
COMMENT ON FUNCTION feature_store_audit.set_days(text, date[], bigint[], bytea[], text, text) IS
'Makes days of a layer, with the changes that were found on them, the baseline. For the functions of this schema alone.';

CREATE FUNCTION feature_store_audit.move_baseline(
    p_token bigint, p_layer text, p_days date[], p_counts bigint[], p_digests bytea[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_day date;
BEGIN
    SELECT f.day INTO v_day
    FROM feature_store_audit.history_finding AS f
    WHERE f.layer = p_layer AND f.outcome IS NULL AND f.day = ANY(p_days)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% of % is open: a person accepts it, or it becomes what it was', v_day, p_layer;
    END IF;
    PERFORM feature_store_audit.set_days(
        p_layer, p_days, p_counts, p_digests, v_lease.dag_id, v_lease.run_id
    );
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.move_baseline(bigint, text, date[], bigint[], bytea[]) IS
'Makes days of a layer, as the run under the lease saw them, the baseline. Refuses a day about which something is open.';

CREATE FUNCTION feature_store_audit.drop_changes(p_token bigint, p_layer text, p_days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    DELETE FROM feature_store_audit.history_change AS c
    WHERE c.layer = p_layer AND c.day = ANY(p_days);
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.drop_changes(bigint, text, date[]) IS
'Forgets the changes that were found on days of a layer: they are looked for anew, or the days are as they were.';

CREATE FUNCTION feature_store_audit.keep_seen(p_token bigint, p_layer text, p_seen jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM feature_store_audit.require_lease(p_token);
    UPDATE feature_store_audit.history_layer AS h SET seen = p_seen WHERE h.layer = p_layer;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.keep_seen(bigint, text, jsonb) IS
'Keeps the states of the rows that were fingerprinted, so that the same rows need no second look.';

-- Accepting that the past has changed.
CREATE FUNCTION feature_store_audit.accept_findings(
    p_findings bigint[], p_by text, p_reason text
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_finding feature_store_audit.history_finding;
BEGIN
    FOR v_finding IN
        SELECT f.* FROM feature_store_audit.history_finding AS f
        WHERE f.finding_id = ANY(p_findings) AND f.outcome IS NULL
    LOOP
        PERFORM feature_store_audit.set_days(
            v_finding.layer,
            ARRAY[v_finding.day],
            ARRAY[v_finding.row_count],
            ARRAY[v_finding.fingerprint],
            v_finding.latest_dag_id,
            v_finding.latest_run_id
        );
        INSERT INTO feature_store_audit.history_closing_log
            (finding_id, outcome, closed_by, reason, sighting_event)
        VALUES (v_finding.finding_id, 'accepted', p_by, p_reason, v_finding.sighting_event);
    END LOOP;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.accept_findings(bigint[], text, text) IS
'Makes the days of findings, as they were last seen, the baseline. For the functions of this schema alone.';

CREATE FUNCTION feature_store_audit.accept_history(
    p_day date, p_layer text, p_by text, p_reason text
) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_findings bigint[];
BEGIN
    IF coalesce(p_by, '') !~ '[^[:space:]]' OR coalesce(p_reason, '') !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'to accept a change of history takes a name and a reason'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE feature_store_audit.history_lock IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(f.finding_id) INTO v_findings
    FROM feature_store_audit.history_finding AS f
    WHERE f.outcome IS NULL AND f.day = p_day AND coalesce(f.layer = p_layer, TRUE);
    PERFORM feature_store_audit.accept_findings(v_findings, btrim(p_by), btrim(p_reason));
    RETURN QUERY SELECT unnest(v_findings);
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.accept_history(date, text, text, text) IS
'Accepts what is open about a day, of one layer or of all (NULL), reviews and leaks alike; gives the findings. A person calls it, with a reason.';

CREATE FUNCTION feature_store_audit.accept_backfill_day(p_token bigint) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_findings bigint[];
BEGIN
    LOCK TABLE feature_store_audit.history_lock IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(f.finding_id) INTO v_findings
    FROM feature_store_audit.history_finding AS f
    INNER JOIN feature_store_audit.run AS r
        ON f.day = r.as_of_day AND r.run_type = 'backfill'
        AND r.dag_id = v_lease.dag_id AND r.run_id = v_lease.run_id
    WHERE f.outcome IS NULL AND f.kind = 'review';
    PERFORM feature_store_audit.accept_findings(
        v_findings, v_lease.dag_id, format('backfill: %s, run %s', v_lease.dag_id, v_lease.run_id)
    );
    RETURN QUERY SELECT unnest(v_findings);
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.accept_backfill_day(bigint) IS
'Accepts the reviews, never a leak, of the one day that the backfill''s run under the lease answers for; gives the findings.';
