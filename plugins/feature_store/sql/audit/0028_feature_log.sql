-- Feature logs: what each feature set gave for each entity when a run first certified it, which is what a
-- model was given. One table a set, feature_log.SET, made and extended by whoever stamps its contract.
CREATE TABLE feature_store_audit.feature_log (
    feature_set text PRIMARY KEY,
    relation text NOT NULL,
    entity text NOT NULL,
    t0_relation text NOT NULL,
    t0_column text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    begun_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE feature_store_audit.feature_log IS
'The feature sets that have a log: the relation that carries the set, the column that a row is about, and where its t0 stands. Relations as SQL names them.';

CREATE TABLE feature_store_audit.seal_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    feature_set text NOT NULL REFERENCES feature_store_audit.feature_log (feature_set),
    serving bigint NOT NULL,
    columns text[] NOT NULL,
    row_count bigint NOT NULL,
    fingerprint bytea,
    dag_id text,
    run_id text,
    sealed_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    sealed_by text NOT NULL DEFAULT session_user,
    by_whom text,
    reason text,
    CHECK ((run_id IS NULL) = (by_whom IS NOT NULL AND reason IS NOT NULL))
);
CREATE INDEX seal_log_serving_idx ON feature_store_audit.seal_log (feature_set, serving, event_id);
COMMENT ON TABLE feature_store_audit.seal_log IS
'What one certification added to a feature log (a serving), fingerprinted over the columns that it had then. A second row is a person''s: by whom, and why.';

CREATE VIEW feature_store_audit.seal AS
SELECT DISTINCT ON (s.feature_set, s.serving)
    s.feature_set,
    s.serving,
    s.columns,
    s.row_count,
    s.fingerprint,
    s.event_id,
    s.sealed_at
FROM feature_store_audit.seal_log AS s
ORDER BY s.feature_set ASC, s.serving ASC, s.event_id DESC;
COMMENT ON VIEW feature_store_audit.seal IS
'The seal of each serving that holds.';

CREATE TABLE feature_store_audit.feature_skew_log (
    suite_event bigint NOT NULL
    REFERENCES feature_store_audit.suite_log (event_id) ON DELETE CASCADE,
    feature_set text NOT NULL,
    feature text NOT NULL,
    age text NOT NULL,
    compared bigint NOT NULL,
    differing bigint NOT NULL,
    typical double precision,
    gone bigint NOT NULL,
    PRIMARY KEY (suite_event, feature_set, feature, age)
);
COMMENT ON TABLE feature_store_audit.feature_skew_log IS
'Of what a feature log has of the last days of t0: how many rows were compared with what the set says now, and how many differ in this feature.';
COMMENT ON COLUMN feature_store_audit.feature_skew_log.age IS
'Days from t0 to the run''s as-of day; all is all of them.';
COMMENT ON COLUMN feature_store_audit.feature_skew_log.typical IS
'Of what differs, the median size of the difference, in the feature''s unit; NULL of texts, and where no two numbers differ.';
COMMENT ON COLUMN feature_store_audit.feature_skew_log.gone IS
'Logged entities of this age that the set does not have any more: flagged since, or left out.';
CREATE VIEW feature_store_audit.feature_skew AS
SELECT
    s.dag_id,
    s.run_id,
    k.feature_set,
    k.feature,
    k.age,
    k.compared,
    k.differing,
    k.typical,
    k.gone,
    k.suite_event
FROM feature_store_audit.feature_skew_log AS k
INNER JOIN feature_store_audit.latest_suite AS s ON k.suite_event = s.event_id;
COMMENT ON VIEW feature_store_audit.feature_skew IS
'How far what was served lies from what a set says today, by the latest try of the run''s suite.';

-- What the log has of each serving, to be held to its seal. filled counts rows with a value in a column
-- that came after them. Texts are taken as UTF-8, whatever the client speaks.
CREATE FUNCTION feature_store_audit.read_servings(
    p_set text, p_columns text[], p_servings bigint[]
) RETURNS TABLE (serving bigint, row_count bigint, fingerprint bytea, filled bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_encoding = 'UTF8'
AS $function$
DECLARE
    v_entity text := (SELECT l.entity FROM feature_store_audit.feature_log AS l WHERE l.feature_set = p_set);
    v_later text;
BEGIN
    SELECT coalesce('num_nonnulls(' || string_agg(format('l.%I', a.attname), ', ') || ')', '0') INTO v_later
    FROM pg_attribute AS a
    WHERE
        a.attrelid = format('feature_log.%I', p_set)::regclass
        AND a.attnum > 0
        AND NOT a.attisdropped
        AND a.attname <> ALL(p_columns);
    RETURN QUERY EXECUTE format(
        'SELECT l.serving, count(*), '
        || 'sha256(string_agg(substr(sha256(record_send(ROW(%s))), 1, 16), '''' ORDER BY l.%I)), '
        || 'count(*) FILTER (WHERE %s > 0) '
        || 'FROM ONLY feature_log.%I AS l WHERE $1 IS NULL OR l.serving = ANY($1) GROUP BY l.serving',
        (SELECT string_agg(format('l.%I', c.name), ', ' ORDER BY c.place) FROM unnest(p_columns) WITH ORDINALITY AS c (name, place)),
        v_entity, v_later, p_set
    ) USING p_servings;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.read_servings(text, text[], bigint[]) IS
'Counts and fingerprints of a log''s servings over some of its columns, and the rows with a value in any other. NULL: all servings.';

CREATE FUNCTION feature_store_audit.log_columns(p_set text) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_attribute AS a
WHERE
    a.attrelid = to_regclass(format('feature_log.%I', p_set))
    AND a.attnum > 0
    AND NOT a.attisdropped
$function$;
COMMENT ON FUNCTION feature_store_audit.log_columns(text) IS
'The columns of a feature log, in order; NULL where there is none.';

CREATE FUNCTION feature_store_audit.broken_servings(p_set text)
RETURNS TABLE (serving bigint, words text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_columns text[];
BEGIN
    -- The log is read once for each set of columns that it has had.
    FOR v_columns IN SELECT DISTINCT s.columns FROM feature_store_audit.seal AS s WHERE s.feature_set = p_set
    LOOP
        RETURN QUERY
        SELECT
            s.serving,
            format(
                'the log of %s has %s rows of %s where %s were sealed%s. Restore them; or, if that is meant: '
                'bin/feature-store seal-log %s --reason REASON',
                p_set, coalesce(r.row_count, 0),
                coalesce(
                    (
                        SELECT 'run ' || min(g.run_id) || ' (' || min(g.sealed_at)::date || ')'
                        FROM feature_store_audit.seal_log AS g
                        WHERE g.feature_set = p_set AND g.serving = s.serving AND g.run_id IS NOT NULL
                    ),
                    format('serving %s', s.serving)
                ),
                s.row_count,
                CASE WHEN r.row_count = s.row_count THEN ', and their values are not those that were' END,
                p_set
            ) AS words
        FROM feature_store_audit.seal AS s
        LEFT JOIN feature_store_audit.read_servings(
            p_set, v_columns,
            (
                SELECT array_agg(g.serving) FROM feature_store_audit.seal AS g
                WHERE g.feature_set = p_set AND g.columns = v_columns
            )
        ) AS r ON s.serving = r.serving
        WHERE
            s.feature_set = p_set
            AND s.columns = v_columns
            AND (
                coalesce(r.row_count, 0) <> s.row_count
                OR r.fingerprint IS DISTINCT FROM s.fingerprint
                OR r.filled > 0
            );
    END LOOP;
    RETURN QUERY EXECUTE format(
        'SELECT l.serving, format(''the log of %%1$s has %%2$s rows that no run wrote. Delete them; or, '
        || 'if they are meant: bin/feature-store seal-log %%1$s --reason REASON'', $1, count(*)) '
        || 'FROM ONLY feature_log.%I AS l WHERE NOT EXISTS ('
        || 'SELECT FROM feature_store_audit.seal AS s WHERE s.feature_set = $1 AND s.serving = l.serving) '
        || 'GROUP BY l.serving', p_set
    ) USING p_set;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.broken_servings(text) IS
'The servings of a feature log that are not as they were sealed, in words.';

CREATE FUNCTION feature_store_audit.seal_serving(
    p_set text, p_serving bigint, p_dag_id text, p_run_id text, p_by text, p_reason text
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
INSERT INTO feature_store_audit.seal_log (
    feature_set, serving, columns, row_count, fingerprint, dag_id, run_id, by_whom, reason
)
SELECT
    p_set,
    p_serving,
    c.columns,
    coalesce(r.row_count, 0),
    r.fingerprint,
    p_dag_id,
    p_run_id,
    p_by,
    p_reason
FROM (SELECT feature_store_audit.log_columns(p_set) AS columns) AS c
LEFT JOIN LATERAL feature_store_audit.read_servings(p_set, c.columns, ARRAY[p_serving]) AS r ON TRUE
$function$;
COMMENT ON FUNCTION feature_store_audit.seal_serving(text, bigint, text, text, text, text) IS
'Counts and fingerprints a serving as it is now.';

-- What a run certifies of one set is logged here, as the owner. Only certify_and_log calls it.
CREATE FUNCTION feature_store_audit.log_served(p_lease feature_store_audit.lease, p_set text)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
DECLARE
    v_log feature_store_audit.feature_log;
    v_run feature_store_audit.run;
    v_hash text;
    v_features text[];
    v_listed text;
    v_served text;
    v_same text;
    v_serving bigint := nextval('feature_store_audit.event');
    v_rows bigint;
    v_unlike bigint;
    v_missing bigint;
    v_broken text[];
BEGIN
    -- Two that certify at once: the second waits here, and then finds every row logged.
    SELECT l.* INTO v_log FROM feature_store_audit.feature_log AS l WHERE l.feature_set = p_set FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NEXT format('%s has no feature log. Next: bin/feature-store stamp-contract %s', p_set, p_set);
        RETURN;
    END IF;
    SELECT array_agg(b.words) INTO v_broken FROM feature_store_audit.broken_servings(p_set) AS b;
    IF v_broken IS NOT NULL THEN
        RETURN QUERY SELECT unnest(v_broken);
        RETURN;
    END IF;
    SELECT r.* INTO v_run
    FROM feature_store_audit.run AS r
    WHERE r.dag_id = p_lease.dag_id AND r.run_id = p_lease.run_id;
    PERFORM set_config('TimeZone', v_run.zone, TRUE); -- a plain view takes days in the reader's
    SELECT s.features_hash INTO v_hash FROM ml.feature_set AS s WHERE s.name = p_set;
    SELECT array_agg(c.feature_name ORDER BY c.ordinal) INTO v_features
    FROM ml.feature_contract AS c
    INNER JOIN ml.feature_set AS s ON c.set_id = s.set_id
    WHERE s.name = p_set AND c.feature_name <> v_log.entity;
    SELECT
        string_agg(format('%I', f.name), ', ' ORDER BY f.place),
        string_agg(format('f.%I', f.name), ', ' ORDER BY f.place),
        string_agg(format('l.%1$I IS NOT DISTINCT FROM f.%1$I', f.name), ' AND ' ORDER BY f.place)
    INTO v_listed, v_served, v_same
    FROM unnest(v_features) WITH ORDINALITY AS f (name, place);

    BEGIN
        EXECUTE format(
            'INSERT INTO feature_log.%1$I '
            || '(%2$I, t0, served_at, served_after, as_of_day, dag_id, run_id, contract_hash, serving, %3$s) '
            || 'SELECT f.%2$I, e.%6$I, $1, CASE WHEN isfinite(e.%6$I) THEN $1 - e.%6$I END, $2, $3, $4, $5, $6, %4$s '
            || 'FROM %5$s AS f LEFT JOIN %7$s AS e ON f.%2$I = e.%2$I '
            || 'WHERE f.%2$I IS NOT NULL '
            || 'AND NOT EXISTS (SELECT FROM ONLY feature_log.%1$I AS l WHERE l.%2$I = f.%2$I)',
            p_set, v_log.entity, v_listed, v_served, v_log.relation, v_log.t0_column, v_log.t0_relation
        ) USING transaction_timestamp(), v_run.as_of_day, v_run.dag_id, v_run.run_id, v_hash, v_serving;
    EXCEPTION
        WHEN unique_violation THEN
            RETURN NEXT format('%s has more than one row of an entity: %s', v_log.relation, SQLERRM);
            RETURN;
    END;

    -- The proof: these rows are the certified ones, every one and every column, and none is missing.
    EXECUTE format(
        'SELECT count(*) FILTER (WHERE l.serving = $1 AND NOT (%1$s)), '
        || 'count(*) FILTER (WHERE l.%2$I IS NULL AND f.%2$I IS NOT NULL), count(*) FILTER (WHERE l.serving = $1) '
        || 'FROM %3$s AS f LEFT JOIN ONLY feature_log.%4$I AS l ON f.%2$I = l.%2$I',
        v_same, v_log.entity, v_log.relation, p_set
    ) INTO v_unlike, v_missing, v_rows USING v_serving;
    IF v_unlike > 0 OR v_missing > 0 THEN
        RETURN NEXT format(
            'the log of %s does not hold what was certified: %s rows differ, %s are missing', p_set, v_unlike, v_missing
        );
        RETURN;
    END IF;
    IF v_rows > 0 THEN
        PERFORM feature_store_audit.seal_serving(p_set, v_serving, v_run.dag_id, v_run.run_id, NULL, NULL);
    END IF;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.log_served(feature_store_audit.lease, text) IS
'Adds to a set''s log each entity that it has not seen, as certified, and proves it; gives in words what keeps it from that.';

CREATE FUNCTION feature_store_audit.certify_and_log(p_token bigint, p_relations text[], p_sets text[])
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_problems text[];
    v_set text;
BEGIN
    BEGIN
        v_problems := ARRAY(SELECT c.words FROM feature_store_audit.certify(p_token, p_relations) AS c (words));
        IF v_problems = '{}' THEN
            FOREACH v_set IN ARRAY p_sets LOOP
                v_problems := v_problems || ARRAY(
                    SELECT s.words FROM feature_store_audit.log_served(v_lease, v_set) AS s (words)
                );
            END LOOP;
            -- Looked at last: what was logged are the rows that were certified, and no later ones.
            v_problems := v_problems || ARRAY(
                SELECT format('%s was refreshed or altered by hand while its rows were logged.', c.relation)
                FROM feature_store_audit.certified AS c
                WHERE
                    c.relation = ANY(p_relations)
                    AND NOT EXISTS (
                        SELECT FROM pg_class AS k
                        INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
                        WHERE n.nspname || '.' || k.relname = c.relation AND k.xmin::text = c.version
                    )
            );
        END IF;
        IF v_problems <> '{}' THEN
            RAISE EXCEPTION USING ERRCODE = 'FS001', MESSAGE = 'not certified';
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'FS001' THEN -- with it goes all that was written
            RETURN QUERY SELECT p.words FROM unnest(v_problems) AS p (words);
    END;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.certify_and_log(bigint, text[], text[]) IS
'Certifies as certify does, and logs what each of these sets serves from now on: both, or nothing and what keeps it from that.';

-- A person's two acts, each with a name and a reason. Only the owner may.
CREATE FUNCTION feature_store_audit.seal_anew(p_set text, p_by text, p_reason text)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_broken record;
BEGIN
    PERFORM FROM feature_store_audit.feature_log AS l WHERE l.feature_set = p_set FOR UPDATE;
    FOR v_broken IN SELECT b.serving, b.words FROM feature_store_audit.broken_servings(p_set) AS b LOOP
        PERFORM feature_store_audit.seal_serving(p_set, v_broken.serving, NULL, NULL, p_by, p_reason);
        RETURN NEXT v_broken.words;
    END LOOP;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.seal_anew(text, text, text) IS
'Seals what of a feature log is not as it was sealed, as it is now; gives what that was, in words.';

CREATE FUNCTION feature_store_audit.erase_logged(p_set text, p_entity text, p_by text, p_reason text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
DECLARE
    v_log feature_store_audit.feature_log;
    v_is_listed boolean;
    v_serving bigint;
    v_words text;
BEGIN
    SELECT l.* INTO STRICT v_log FROM feature_store_audit.feature_log AS l WHERE l.feature_set = p_set FOR UPDATE;
    IF to_regclass(v_log.relation) IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS f WHERE f.%I::text = $1)', v_log.relation, v_log.entity)
        INTO v_is_listed USING p_entity;
    END IF;
    IF v_is_listed THEN
        RAISE EXCEPTION '% is in % still, and the next run would log it again', p_entity, v_log.relation
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('SELECT l.serving FROM ONLY feature_log.%I AS l WHERE l.%I::text = $1', p_set, v_log.entity)
    INTO v_serving USING p_entity;
    IF v_serving IS NULL THEN
        RETURN 0;
    END IF;
    SELECT b.words INTO v_words FROM feature_store_audit.broken_servings(p_set) AS b WHERE b.serving = v_serving;
    IF FOUND THEN
        RAISE EXCEPTION '%', v_words USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DELETE FROM ONLY feature_log.%I AS l WHERE l.%I::text = $1', p_set, v_log.entity)
    USING p_entity;
    PERFORM feature_store_audit.seal_serving(p_set, v_serving, NULL, NULL, p_by, p_reason);
    RETURN 1;
END;
$function$;
COMMENT ON FUNCTION feature_store_audit.erase_logged(text, text, text, text) IS
'Deletes what a feature log has of an entity that its set does not have any more, and seals its serving anew. For the law; nothing else deletes of a log.';

REVOKE ALL ON FUNCTION feature_store_audit.read_servings(text, text[], bigint[]) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.log_columns(text) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.broken_servings(text) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.seal_serving(text, bigint, text, text, text, text) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.log_served(feature_store_audit.lease, text) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.certify_and_log(bigint, text[], text[]) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.seal_anew(text, text, text) FROM public;
REVOKE ALL ON FUNCTION feature_store_audit.erase_logged(text, text, text, text) FROM public;
