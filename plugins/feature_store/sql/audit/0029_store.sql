-- The store that this database has: one, and no other. What was the same for every store until now (two
-- schemas by name, three suites, a listing's key) is taken from its own declaration, which apply writes here.
CREATE TABLE feature_store_audit.store (
    only_one boolean PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    name text NOT NULL,
    title text NOT NULL,
    dag_id text NOT NULL,
    governed_schemas text[] NOT NULL CHECK (cardinality(governed_schemas) > 0),
    key text NOT NULL,
    proof_suite text NOT NULL
);
COMMENT ON TABLE feature_store_audit.store IS
'The store of this database, as its store.toml says. The first governed schema has the registry; proof_suite is the suite that checks specifications.';

-- Flagged rows are known by a key, whatever a store calls it.
ALTER TABLE feature_store_audit.spam_seen_log RENAME COLUMN listing_id TO key;
ALTER VIEW feature_store_audit.spam_seen RENAME COLUMN listing_id TO key;
COMMENT ON TABLE feature_store_audit.spam_seen_log IS
'The keys that carried a spam token when a relation that leaves them out was refreshed, as that refresh saw them.';
COMMENT ON VIEW feature_store_audit.spam_seen IS
'The keys that carried a spam token when a relation that leaves them out was last refreshed, as that refresh saw them.';

-- As before, but for the suite, which is the one that the store's suites.toml gives the specifications to.
CREATE OR REPLACE VIEW feature_store_audit.proof AS
SELECT
    s.dag_id,
    s.run_id,
    p.proof,
    p.compared,
    p.broken,
    p.sample,
    p.seconds,
    p.proven_at,
    p.suite_event
FROM feature_store_audit.proof_log AS p
INNER JOIN feature_store_audit.latest_suite AS s ON p.suite_event = s.event_id
UNION ALL
-- Those of the refreshes that the suite found, which may be an earlier run's: they are the run's now.
SELECT
    s.dag_id,
    s.run_id,
    p.proof,
    p.compared,
    p.broken,
    p.sample,
    p.seconds,
    s.begun_at AS proven_at,
    s.event_id AS suite_event
FROM feature_store_audit.latest_suite AS s
CROSS JOIN LATERAL jsonb_each_text(s.refreshes) AS r (relation, refresh_id)
INNER JOIN feature_store_audit.proof_log AS p ON r.refresh_id::bigint = p.refresh_id
INNER JOIN feature_store_audit.store AS o ON s.suite = o.proof_suite;

-- As before, but for the schemas, which are those of the store.
CREATE OR REPLACE FUNCTION feature_store_audit.own_view(p_relation text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_view text;
BEGIN
    SELECT format('%I.%I', n.nspname, c.relname) INTO v_view
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n
        ON c.relnamespace = n.oid AND c.relkind = 'm'
    INNER JOIN feature_store_audit.store AS s ON n.nspname = ANY(s.governed_schemas)
    INNER JOIN feature_store_audit.definition AS d ON d.object = n.nspname || '.' || c.relname
    WHERE d.object = p_relation;
    IF v_view IS NULL THEN
        RAISE EXCEPTION '% is no materialized view of the store', p_relation
        USING ERRCODE = 'undefined_table';
    END IF;
    RETURN v_view;
END;
$function$;

CREATE OR REPLACE FUNCTION feature_store_audit.certify(p_token bigint, p_relations text[]) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_problems text[];
    v_view record;
    v_rows text;
    v_names text[] := '{}';
    v_versions text[] := '{}';
BEGIN
    SELECT coalesce(array_agg(u.words), '{}') INTO v_problems
    FROM feature_store_audit.unproven(v_lease, p_relations) AS u (words);

    -- Are the rows those that the refresh left? Only REFRESH, GRANT and ALTER write a view's row of
    -- pg_class anew; where none of them did, nobody has to look.
    -- Only views of schemas where nobody else may create are read here, as the owner: to read a table
    -- runs the code of its statistics and indexes.
    FOR v_view IN
        SELECT
            w.relation,
            c.oid::regclass AS view,
            c.xmin::text AS version,
            r.version AS left_version,
            r.outcome
        FROM unnest(p_relations) AS w (relation)
        LEFT JOIN feature_store_audit.latest_refresh AS l ON w.relation = l.relation
        LEFT JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id
        LEFT JOIN (
            pg_class AS c
            INNER JOIN pg_namespace AS n
                ON c.relnamespace = n.oid AND c.relkind = 'm'
            INNER JOIN feature_store_audit.store AS s ON n.nspname = ANY(s.governed_schemas)
        ) ON w.relation = n.nspname || '.' || c.relname
    LOOP
        IF v_view.view IS NULL THEN
            v_problems := v_problems || format('%s is no materialized view of the store.', v_view.relation);
            CONTINUE;
        END IF;
        v_names := v_names || v_view.relation;
        v_versions := v_versions || v_view.version;
        CONTINUE WHEN v_view.outcome IS NULL OR v_view.version = v_view.left_version;
        EXECUTE format(
            'SELECT concat_ws(''/'', count(*), sum(hashtidextended(t.ctid, t.xmin::text::bigint))) FROM ONLY %s AS t',
            v_view.view
        ) INTO v_rows;
        IF right(v_view.outcome, length(v_rows) + 1) IS DISTINCT FROM '/' || v_rows THEN
            v_problems := v_problems || format(
                '%s has rows that are not those that this run proved: somebody has refreshed it by hand.',
                v_view.relation
            );
        END IF;
    END LOOP;

    IF v_problems <> '{}' THEN
        RETURN QUERY SELECT p.words FROM unnest(v_problems) AS p (words);
        RETURN;
    END IF;

    INSERT INTO feature_store_audit.certification_log (
        relation, refresh_id, file_node, dag_id, run_id, as_of_day, certified_at, version
    )
    SELECT
        v.relation,
        l.refresh_id,
        pg_relation_filenode(c.oid),
        r.dag_id,
        r.run_id,
        r.as_of_day,
        -- As old as what it rests on: nobody makes an old run young by clearing its last task.
        (
            SELECT min(e.checked_at)
            FROM feature_store_audit.expectation AS e
            INNER JOIN feature_store_audit.required_suite AS q ON e.suite = q.suite
            WHERE e.dag_id = r.dag_id AND e.run_id = r.run_id
        ),
        v.version
    FROM unnest(v_names, v_versions) AS v (relation, version)
    INNER JOIN feature_store_audit.latest_refresh AS l ON v.relation = l.relation
    INNER JOIN feature_store_audit.run AS r
        ON r.dag_id = v_lease.dag_id AND r.run_id = v_lease.run_id
    INNER JOIN pg_class AS c ON c.relkind = 'm'
    INNER JOIN pg_namespace AS n
        ON c.relnamespace = n.oid AND v.relation = n.nspname || '.' || c.relname;
    INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict)
    VALUES (v_lease.dag_id, v_lease.run_id, 'passed');
END;
$function$;

CREATE OR REPLACE FUNCTION feature_store_audit.log_served(p_lease feature_store_audit.lease, p_set text)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
DECLARE
    v_log feature_store_audit.feature_log;
    v_run feature_store_audit.run;
    v_registry text;
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
    SELECT s.governed_schemas[1] INTO v_registry FROM feature_store_audit.store AS s;
    EXECUTE format('SELECT s.features_hash FROM %I.feature_set AS s WHERE s.name = $1', v_registry)
    INTO v_hash USING p_set;
    EXECUTE format(
        'SELECT array_agg(c.feature_name ORDER BY c.ordinal) '
        || 'FROM %1$I.feature_contract AS c INNER JOIN %1$I.feature_set AS s ON c.set_id = s.set_id '
        || 'WHERE s.name = $1 AND c.feature_name <> $2',
        v_registry
    ) INTO v_features USING p_set, v_log.entity;
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
