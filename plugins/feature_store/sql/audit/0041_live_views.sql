-- Plain views that read the user's tables give what these have at the moment. The suite compares them with their
-- specifications; what the verdict certifies and logs, they give later. If the tables have changed in between,
-- the verdict compares them once more, in the snapshot that it certifies and logs in.

-- So a try of a suite may have two comparisons of a relation, and two findings of one expectation.
ALTER TABLE feature_store_audit.proof_log
ADD COLUMN sources jsonb,
DROP CONSTRAINT proof_log_suite_event_proof_key,
ADD UNIQUE (suite_event, proof, proven_at);
COMMENT ON COLUMN feature_store_audit.proof_log.sources IS
'Of a plain view: the state of each of the user''s tables below it, as it was compared. NULL: it reads none, or nobody can tell.';
COMMENT ON TABLE feature_store_audit.proof_log IS
'What each proof compared, how many rows differed, and up to 20 of them: by a try of a suite, by the verdict after it, or by a refresh in its own snapshot.';
ALTER TABLE feature_store_audit.expectation_log
DROP CONSTRAINT expectation_log_pkey,
ADD PRIMARY KEY (suite_event, expectation, checked_at);
COMMENT ON TABLE feature_store_audit.expectation_log IS
'What each expectation of a try of a suite found, and the verdict after it. error: it could not be checked, which says nothing about the data.';

-- As before, but of two comparisons the one that found more; else the latest.
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
FROM feature_store_audit.latest_suite AS s
CROSS JOIN
    LATERAL (
        SELECT DISTINCT ON (l.proof) l.*
        FROM feature_store_audit.proof_log AS l
        WHERE l.suite_event = s.event_id
        ORDER BY l.proof ASC, l.broken DESC, l.proven_at DESC
    ) AS p
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
INNER JOIN feature_store_audit.store AS o ON s.suite = o.proof_suite
WHERE NOT EXISTS (
    SELECT FROM feature_store_audit.proof_log AS f
    WHERE f.suite_event = s.event_id AND f.proof = p.proof
);

-- As before, but of two findings the one that is not met.
CREATE OR REPLACE VIEW feature_store_audit.expectation AS
SELECT
    s.dag_id,
    s.run_id,
    s.suite,
    e.expectation,
    e.relation,
    e.severity,
    e.outcome,
    e.expected,
    e.observed,
    e.sample,
    e.seconds,
    e.checked_at,
    e.suite_event,
    e.breaching
FROM feature_store_audit.latest_suite AS s
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (l.expectation) l.*
    FROM feature_store_audit.expectation_log AS l
    WHERE l.suite_event = s.event_id
    ORDER BY l.expectation ASC, (l.outcome = 'met') ASC, l.checked_at DESC
) AS e;

-- As before, and for a transaction that sees one moment. What a blocking refresh by hand leaves is seen at once, by
-- every snapshot; the catalog's row of the view is not. So the views are locked, and their files tell.
CREATE OR REPLACE FUNCTION feature_store_audit.certify_and_log(p_token bigint, p_relations text[], p_sets text[])
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_lease feature_store_audit.lease := feature_store_audit.require_lease(p_token);
    v_problems text[];
    v_set text;
BEGIN
    -- To ask for its size locks a relation until the transaction ends.
    PERFORM pg_relation_size(k.oid)
    FROM pg_class AS k
    INNER JOIN pg_namespace AS n ON k.relnamespace = n.oid
    WHERE k.relkind = 'm' AND n.nspname || '.' || k.relname = ANY(p_relations);
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
                        WHERE
                            n.nspname || '.' || k.relname = c.relation
                            AND k.xmin::text = c.version
                            AND k.relfilenode = pg_relation_filenode(k.oid)
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
