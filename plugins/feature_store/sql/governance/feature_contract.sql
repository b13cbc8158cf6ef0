-- The check of a feature contract, held by a hash and bound to the live relation. The same file serves
-- every governed schema of a store; the registry has the sets of all. For the store of include/:
--   sed -e 's/:"schema"/ml/g' -e 's/:"registry"/ml/g' feature_contract.sql | psql
--   sed -e 's/:"schema"/feature_store/g' -e 's/:"registry"/ml/g' feature_contract.sql | psql
-- The functions name their tables in full, look up everything else only in pg_catalog, and run with
-- their owner's privileges, so a reader needs no privileges on these tables.

-- Read-only: both hashes, what is wrong with the live relation, and OK or MISMATCH. One row; none
-- if there is no such set.
CREATE FUNCTION :"schema".check_feature_contract(p_set text)
RETURNS TABLE (
    expected_n integer,
    expected_hash text,
    computed_n integer,
    computed_hash text,
    relation_name text,
    problems text[],
    contract_check text
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
WITH feature AS (
    SELECT c.*
    FROM :"registry".feature_contract AS c
    INNER JOIN :"registry".feature_set AS s ON c.set_id = s.set_id
    WHERE s.name = p_set
),

canon AS (
    SELECT
        count(*)::integer AS n,
        encode(
            sha256(
                convert_to(
                    string_agg(
                        concat_ws(
                            '|',
                            f.ordinal,
                            f.feature_name,
                            f.dtype,
                            coalesce(f.expr_sql, ''),
                            coalesce(f.leakage_rule, ''),
                            CASE WHEN f.is_nullable THEN '1' ELSE '0' END
                        ),
                        '||' ORDER BY f.ordinal
                    ),
                    'UTF8'
                )
            ),
            'hex'
        ) AS hash
    FROM feature AS f
),

bound AS (
    SELECT b.*
    FROM :"registry".feature_set_binding AS b
    INNER JOIN :"registry".feature_set AS s ON b.set_id = s.set_id
    WHERE s.name = p_set
),

live AS (
    SELECT
        a.attname::text AS column_name,
        format_type(a.atttypid, NULL) AS type_name,
        a.attnum
    FROM bound AS b
    INNER JOIN pg_attribute AS a ON a.attrelid = to_regclass(b.relation_name)
    WHERE a.attnum > 0 AND NOT a.attisdropped
),

wanted AS (
    SELECT
        f.feature_name AS column_name,
        f.ordinal,
        f.dtype,
        CASE
            WHEN f.dtype IN ('int', 'int4', 'int8')
                THEN ARRAY['smallint', 'integer', 'bigint']
            WHEN f.dtype = 'numeric' AND f.feature_name = ANY(b.integer_columns)
                THEN
                    ARRAY[
                        'numeric', 'real', 'double precision', 'smallint', 'integer', 'bigint'
                    ]
            WHEN f.dtype IN ('numeric', 'float8')
                THEN ARRAY['numeric', 'real', 'double precision']
            WHEN f.dtype = 'text'
                THEN ARRAY['text', 'character varying']
            ELSE ARRAY[]::text []
        END AS live_types
    FROM feature AS f
    CROSS JOIN bound AS b
    UNION ALL
    SELECT
        o.column_name,
        NULL AS ordinal,
        NULL AS dtype,
        NULL AS live_types
    FROM bound AS b
    CROSS JOIN unnest(b.other_columns) AS o (column_name)
),

problem AS (
    SELECT
        0 AS rank,
        0 AS place,
        format(
            'nothing says which relation carries the set. To bind it, as the owner: INSERT INTO :"registry".feature_set_binding (set_id, relation_name, other_columns, integer_columns) VALUES (%s, ''SCHEMA.RELATION'', ''{COLUMNS THAT ARE NO FEATURES}'', ''{FEATURES OF DTYPE numeric THAT ARE INTEGERS}'')',
            s.set_id
        ) AS words
    FROM :"registry".feature_set AS s
    WHERE s.name = p_set AND NOT EXISTS (SELECT 1 FROM bound)
    UNION ALL
    SELECT
        0 AS rank,
        0 AS place,
        format('the relation %s does not exist', b.relation_name) AS words
    FROM bound AS b
    WHERE to_regclass(b.relation_name) IS NULL
    UNION ALL
    SELECT
        1 AS rank,
        w.ordinal AS place,
        format('column %s is missing', w.column_name) AS words
    FROM wanted AS w
    INNER JOIN bound AS b ON to_regclass(b.relation_name) IS NOT NULL
    WHERE NOT EXISTS (SELECT 1 FROM live AS l WHERE l.column_name = w.column_name)
    UNION ALL
    SELECT
        2 AS rank,
        w.ordinal AS place,
        format(
            'column %s has the type %s, the contract says %s', w.column_name, l.type_name, w.dtype
        ) AS words
    FROM wanted AS w
    INNER JOIN live AS l ON w.column_name = l.column_name
    WHERE w.live_types IS NOT NULL AND NOT l.type_name = ANY(w.live_types)
    UNION ALL
    SELECT
        3 AS rank,
        l.attnum AS place,
        format('column %s is neither a feature nor a declared column', l.column_name) AS words
    FROM live AS l
    WHERE NOT EXISTS (SELECT 1 FROM wanted AS w WHERE w.column_name = l.column_name)
)

SELECT
    s.n_features AS expected_n,
    s.features_hash AS expected_hash,
    c.n AS computed_n,
    c.hash AS computed_hash,
    (SELECT b.relation_name FROM bound AS b) AS relation_name,
    p.problems,
    CASE
        WHEN
            c.n > 0
            AND s.n_features IS NOT DISTINCT FROM c.n
            AND s.features_hash IS NOT DISTINCT FROM c.hash
            AND p.problems = '{}'
            THEN 'OK'
        ELSE 'MISMATCH'
    END AS contract_check
FROM :"registry".feature_set AS s
CROSS JOIN canon AS c
CROSS JOIN (
    SELECT coalesce(array_agg(q.words ORDER BY q.rank, q.place), '{}') AS problems
    FROM problem AS q
) AS p
WHERE s.name = p_set
$function$;
COMMENT ON FUNCTION :"schema".check_feature_contract(text) IS
'Read-only: stamped and computed hash of a feature set, what is wrong with its live relation, and OK or MISMATCH.';

-- What training and inference call first. The wording of its messages is an interface.
CREATE FUNCTION :"schema".assert_feature_contract(p_set text)
RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v record;
BEGIN
    SELECT * INTO v FROM :"schema".check_feature_contract(p_set);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'feature_set % not found', p_set;
    END IF;
    IF
        v.computed_n = 0
        OR v.computed_hash IS DISTINCT FROM v.expected_hash
        OR v.computed_n IS DISTINCT FROM v.expected_n
    THEN
        RAISE EXCEPTION 'FEATURE CONTRACT DRIFT: expected n=% hash=%, got n=% hash=%',
            v.expected_n, v.expected_hash, v.computed_n, v.computed_hash;
    END IF;
    IF v.problems <> '{}' THEN
        RAISE EXCEPTION 'FEATURE CONTRACT DRIFT: %: %',
            coalesce(v.relation_name || ' does not carry ', '') || p_set, array_to_string(v.problems, '; ');
    END IF;
    RAISE NOTICE 'Feature contract OK (n=%, hash=%)', v.computed_n, v.computed_hash;
END;
$function$;
COMMENT ON FUNCTION :"schema".assert_feature_contract(text) IS
'Raises unless the feature set''s contract is as stamped and its live relation carries it. Call it before training and inference.';
