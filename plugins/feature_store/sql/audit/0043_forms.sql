-- As before, and: what is live is read as it was when the suites looked.
CREATE OR REPLACE FUNCTION feature_store_audit.unproven(p_lease feature_store_audit.lease, p_relations text[])
RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH RECURSIVE run AS (
    SELECT r.zone
    FROM feature_store_audit.run AS r
    WHERE r.dag_id = p_lease.dag_id AND r.run_id = p_lease.run_id
),

-- The store's queries as they are now.
query AS (
    SELECT
        q.key AS name,
        q.value AS digest,
        q.key LIKE 'the % of %' AS is_form,
        q.key LIKE ANY(ARRAY['the % of %', 'feature\_log.%']) AS is_new
    FROM jsonb_each_text(feature_store_audit.queries()) AS q
),

latest AS (
    SELECT
        w.relation,
        w.place,
        l.refresh_id,
        l.run_id,
        r.zone,
        r.inputs,
        r.outcome,
        (l.dag_id = p_lease.dag_id AND l.run_id = p_lease.run_id) OR u.relation IS NOT NULL AS is_ours
    FROM unnest(p_relations) WITH ORDINALITY AS w (relation, place)
    LEFT JOIN feature_store_audit.latest_refresh AS l ON w.relation = l.relation
    LEFT JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id
    LEFT JOIN feature_store_audit.reuse AS u
        ON l.relation = u.relation AND l.refresh_id = u.refresh_id
        AND u.dag_id = p_lease.dag_id AND u.run_id = p_lease.run_id
),

-- What each relation reads, by the catalog: down to the next materialized view. What a function's body
-- reads, no catalog knows.
reads AS (
    SELECT
        l.relation AS reader,
        d.refobjid AS object
    FROM latest AS l
    INNER JOIN pg_namespace AS n ON l.relation LIKE n.nspname || '.%'
    INNER JOIN pg_class AS c ON n.oid = c.relnamespace AND l.relation = n.nspname || '.' || c.relname
    INNER JOIN pg_rewrite AS r ON c.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    UNION
    SELECT
        e.reader,
        d.refobjid AS object
    FROM reads AS e
    INNER JOIN pg_class AS c ON e.object = c.oid AND c.relkind = 'v'
    INNER JOIN pg_rewrite AS r ON c.oid = r.ev_class
    INNER JOIN pg_depend AS d
        ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
),

-- The rows that it saw there, and those that are there now: by their versions, see row_versions.py.
seen AS (
    SELECT DISTINCT
        l.relation,
        l.place,
        b.relation AS layer,
        l.refresh_id < b.refresh_id AS is_older,
        substring(l.inputs ->> b.relation FROM '^[^/]*/[^/]*/[^/]*/(.*)$') AS rows_seen,
        substring(b.outcome FROM '^[^/]*/[^/]*/[^/]*/(.*)$') AS rows_now
    FROM reads AS e
    INNER JOIN latest AS l ON e.reader = l.relation
    INNER JOIN pg_class AS c ON e.object = c.oid AND c.relkind = 'm'
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
    INNER JOIN latest AS b ON b.relation = n.nspname || '.' || c.relname AND b.relation <> l.relation
    WHERE l.is_ours -- of others it is said already
),

checked AS (
    SELECT
        q.suite,
        s.event_id,
        s.refreshes,
        o.queries,
        o.zone,
        count(e.expectation) AS expectations,
        count(*) FILTER (WHERE e.severity = 'critical' AND e.outcome <> 'met') AS wrong
    FROM feature_store_audit.required_suite AS q
    LEFT JOIN feature_store_audit.latest_suite AS s
        ON q.suite = s.suite AND s.dag_id = p_lease.dag_id AND s.run_id = p_lease.run_id
    LEFT JOIN feature_store_audit.suite_log AS o ON s.event_id = o.event_id
    LEFT JOIN feature_store_audit.expectation_log AS e ON s.event_id = e.suite_event
    GROUP BY q.suite, s.event_id, s.refreshes, o.queries, o.zone
),

later AS (
    SELECT o.run_id
    FROM feature_store_audit.suite_log AS o
    WHERE
        (o.dag_id, o.run_id) <> (p_lease.dag_id, p_lease.run_id)
        AND o.event_id > (SELECT min(c.event_id) FROM checked AS c)
    ORDER BY o.event_id DESC
    LIMIT 1
),

judged AS (
    SELECT max(j.event_id) AS event_id
    FROM feature_store_audit.history_judgement_log AS j
    WHERE j.dag_id = p_lease.dag_id AND j.run_id = p_lease.run_id
),

problem AS (
    SELECT
        5 AS kind,
        0 AS place,
        'History has not been judged since the last refresh.' AS words
    FROM judged AS j
    WHERE coalesce(j.event_id, 0) < (SELECT max(l.refresh_id) FROM latest AS l)
    UNION ALL
    SELECT
        1 AS kind,
        0 AS place,
        'It has no record: prepare has not opened one.' AS words
    WHERE NOT EXISTS (SELECT FROM run)
    UNION ALL
    SELECT
        1 AS kind,
        2 AS place,
        format(
            'This session works in the time zone %s, but the run answers for days in %s.',
            current_setting('TimeZone'), r.zone
        ) AS words
    FROM run AS r
    WHERE lower(r.zone) <> lower(current_setting('TimeZone'))
    UNION ALL
    SELECT
        1 AS kind,
        1 AS place,
        'It names no relation to certify.' AS words
    WHERE NOT EXISTS (SELECT FROM latest)
    UNION ALL
    SELECT
        2 AS kind,
        l.place,
        format(
            '%s was last refreshed %s, not by this run.',
            l.relation, coalesce('by run ' || l.run_id, 'never')
        ) AS words
    FROM latest AS l
    WHERE l.is_ours IS NOT TRUE
    UNION ALL
    SELECT
        2 AS kind,
        l.place,
        format(
            '%s was refreshed in the time zone %s, but the run answers for days in %s.', l.relation, l.zone, r.zone
        ) AS words
    FROM latest AS l
    CROSS JOIN run AS r
    WHERE lower(l.zone) <> lower(r.zone)
    UNION ALL
    SELECT
        2 AS kind,
        l.place,
        format('%s has not read the latest rows of %s.', l.relation, l.layer) AS words
    FROM seen AS l
    -- Where one of the two is not known, the order tells. A refresh that left the same rows does not count.
    WHERE coalesce(l.rows_seen <> l.rows_now, l.is_older)
    UNION ALL
    SELECT
        2 AS kind,
        l.place,
        format('%s was refreshed while %s had another query than now.', l.relation, b.name) AS words
    FROM latest AS l
    -- As the refresh saw them, see refresh/inputs.py: its own query, and those of plain views below it.
    CROSS JOIN LATERAL (
        SELECT
            substr(i.key, length('the query of ') + 1) AS name,
            i.value AS version
        FROM jsonb_each_text(l.inputs) AS i
        WHERE i.key LIKE 'the query of %' AND i.value IS NOT NULL
    ) AS b
    LEFT JOIN (
        pg_class AS c
        INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        INNER JOIN pg_rewrite AS r ON c.oid = r.ev_class AND r.ev_type = '1'
    ) ON b.name = n.nspname || '.' || c.relname
    WHERE b.version IS DISTINCT FROM concat_ws('/', c.oid, r.oid, r.xmin::text)
    UNION ALL
    SELECT
        3 AS kind,
        0 AS place,
        format('Run %s has checked the store since.', l.run_id) AS words
    FROM later AS l
    UNION ALL
    SELECT
        3 AS kind,
        1 AS place,
        format('%s of %s leaks, and nobody has accepted it.', f.relation, f.day) AS words
    FROM feature_store_audit.history_finding AS f
    WHERE f.kind = 'leak' AND f.outcome IS NULL AND f.relation = ANY(p_relations)
    UNION ALL
    SELECT
        4 AS kind,
        0 AS place,
        format(
            'The suite %s was checked in the time zone %s, but the run answers for days in %s.', c.suite, c.zone, r.zone
        ) AS words
    FROM checked AS c
    CROSS JOIN run AS r
    WHERE lower(c.zone) <> lower(r.zone)
    UNION ALL
    SELECT
        4 AS kind,
        0 AS place,
        format(
            CASE
                WHEN q.is_form THEN 'The suite %s was checked before %s changed.'
                ELSE 'The suite %s was checked while %s had another query than now.'
            END, c.suite, q.name
        ) AS words
    FROM checked AS c
    CROSS JOIN query AS q
    -- Suites of before these were recorded say nothing of them.
    WHERE
        c.queries IS NOT NULL
        AND c.queries ->> q.name IS DISTINCT FROM q.digest
        AND (c.queries ? q.name OR NOT q.is_new)
    UNION ALL
    SELECT
        4 AS kind,
        0 AS place,
        format('The proofs were stamped anew after the suite %s was checked.', c.suite) AS words
    FROM checked AS c
    WHERE c.event_id < (SELECT i.event_id FROM feature_store_audit.proof_inventory AS i)
    UNION ALL
    SELECT
        4 AS kind,
        row_number() OVER (ORDER BY c.suite) AS place,
        CASE
            WHEN c.expectations = 0 OR EXISTS (
                SELECT FROM latest AS l
                WHERE (c.refreshes ->> l.relation)::bigint IS DISTINCT FROM l.refresh_id
            )
                THEN format('The suite %s has not been checked since the last refresh.', c.suite)
            ELSE format('The suite %s has critical findings: %s.', c.suite, c.wrong)
        END AS words
    FROM checked AS c
    WHERE
        c.expectations = 0
        OR c.wrong > 0
        OR EXISTS (
            SELECT FROM latest AS l
            WHERE (c.refreshes ->> l.relation)::bigint IS DISTINCT FROM l.refresh_id
        )
)

SELECT p.words FROM problem AS p ORDER BY p.kind, p.place
$function$;
