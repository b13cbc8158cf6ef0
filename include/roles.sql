-- Roles: who may do what with the feature store iphone (feature store). To be read, and run, by the
-- administrator of the database: a superuser, or a role with CREATEROLE that owns the database (managed
-- services have such a one). What that role may not do is refused, with the statement that whoever may is
-- to run. `feature-store grants` writes this file out of the store's folder; do not edit it:
--
--   bin/feature-store grants | psql -d DATABASE
--   psql -d DATABASE -f roles.sql                  # the same, of a file that was kept
--   psql -d DATABASE -v prefix=staging -f roles.sql  # staging_owner, staging_refresher, …
--   psql -d DATABASE -v owner=etl -v refresher=airflow -v reader=analysts -v page=web \
--     -v reviewer=leads -f roles.sql
--
-- owner      creates the store (bin/feature-store apply, stamp-contract, stamp-proofs), owns it, and keeps its
--            feature logs (seal-log, erase); none of the roles below
-- refresher  runs the DAG, every night, and nothing else
-- reader     trains and predicts: what is certified, and the functions that say so
-- reviewer   accepts that the past has changed (bin/feature-store accept-history), and nothing else
-- page       the page in Airflow: the record of what every run did, with the sample rows in it
--
-- Roles are the server's, not a database's: two stores on one server have roles of their own unless they are
-- given the same names (role_prefix in store.toml, or as above).
--
-- Run it before the first apply and after every apply that created something. Roles that are missing are
-- created first; all else is one transaction. Run again it grants what is missing, takes back what these
-- roles have too much in feature_store_audit and feature_log, and what earlier versions gave the refresher (the views
-- themselves, temporary tables, MAINTAIN), and changes nothing else. It revokes nothing on your own tables,
-- and grants nothing on them but SELECT on those that the store reads: on whole tables, because telling
-- whether a table has changed takes its system columns, too.
--
-- Who is trusted: a superuser, the owner, and whoever owns a source, for a refresh reads sources with
-- the owner's privileges. SECURITY.md says what each role can still do.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?prefix} \else \set prefix feature_store \endif
\if :{?owner} \else \set owner :prefix _owner \endif
\if :{?refresher} \else \set refresher :prefix _refresher \endif
\if :{?reader} \else \set reader :prefix _reader \endif
\if :{?reviewer} \else \set reviewer :prefix _reviewer \endif
\if :{?page} \else \set page :prefix _page \endif
SELECT
    current_setting('server_version_num')::integer >= 160000 AS has_options,
    current_setting('server_version_num')::integer >= 170000 AS has_maintain \gset

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT
    set_config('feature_store.owner', :'owner', TRUE) AS ignored,
    set_config(
        'feature_store.others',
        json_build_object('refresher', :'refresher', 'reader', :'reader', 'reviewer', :'reviewer', 'page', :'page')::text,
        TRUE
    ) AS ignored_too \gset
DO $block$
DECLARE
    v_owner regrole;
    v_other text;
BEGIN
    SELECT c.relowner INTO v_owner
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
    WHERE n.nspname = 'feature_store_audit' AND c.relname = 'migration' AND c.relkind = 'r';
    IF v_owner::text <> quote_ident(current_setting('feature_store.owner')) THEN
        RAISE EXCEPTION 'Nothing was granted: the store belongs to %, not to %.', v_owner, current_setting('feature_store.owner')
        USING HINT = format('name it: -v owner=%s. What all roles begin with is role_prefix in store.toml, or -v prefix=NAME.', v_owner);
    END IF;
    -- What this file takes back from the others, the owner would lose, and with it every function of the owner's.
    SELECT o.key INTO v_other
    FROM json_each_text(current_setting('feature_store.others')::json) AS o
    WHERE o.value = current_setting('feature_store.owner');
    IF FOUND THEN
        RAISE EXCEPTION 'Nothing was granted: % is named as the owner and as the %.', current_setting('feature_store.owner'), v_other
        USING HINT = format('The owner is a role of its own. Name another: -v %s=NAME.', v_other);
    END IF;
END
$block$;
-- The roles. A missing one is created without a password: give it one with \password, or have people
-- log in as themselves and be members of it (GRANT feature_store_reader TO ann).
SELECT format('CREATE ROLE %I LOGIN', r.name)
FROM (VALUES (:'owner'), (:'refresher'), (:'reader'), (:'reviewer'), (:'page')) AS r (name)
WHERE NOT EXISTS (SELECT FROM pg_roles AS p WHERE p.rolname = r.name)
\gexec
COMMIT;

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
SELECT
    current_database() AS database,
    set_config('feature_store.owner', :'owner', TRUE) AS ignored \gset

-- Only a superuser, or a member, does what the owner may. Who is neither joins it until the end.
-- The refresher is joined, too, where an earlier version of this file gave it the views.
CREATE TEMPORARY TABLE keeper ON COMMIT DROP AS
SELECT
    r.oid,
    r.rolname AS role
FROM pg_roles AS r
WHERE
    r.rolname = :'owner'
    OR (
        r.rolname = :'refresher'
        AND EXISTS (
            SELECT FROM pg_class AS c
            INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
            WHERE c.relowner = r.oid AND c.relkind = 'm' AND n.nspname IN ('ml', 'feature_store')
        )
    );
\if :has_options
CREATE TEMPORARY TABLE joined ON COMMIT DROP AS
SELECT
    k.role,
    ' WITH INHERIT TRUE, SET TRUE' AS options,
    CASE
        WHEN m.oid IS NULL THEN format('REVOKE %I FROM CURRENT_USER', k.role)
        ELSE format('GRANT %I TO CURRENT_USER WITH INHERIT %s, SET %s', k.role, m.inherit_option::text, m.set_option::text)
    END AS leave
FROM pg_temp.keeper AS k
LEFT JOIN pg_auth_members AS m
    ON k.oid = m.roleid AND m.member = quote_ident(current_user)::regrole AND m.grantor = m.member
WHERE NOT (pg_has_role(k.oid, 'USAGE') AND pg_has_role(k.oid, 'SET'));
\else
CREATE TEMPORARY TABLE joined ON COMMIT DROP AS
SELECT
    k.role,
    '' AS options,
    format('REVOKE %I FROM CURRENT_USER', k.role) AS leave
FROM pg_temp.keeper AS k
WHERE NOT pg_has_role(k.oid, 'MEMBER');
\endif
DO $block$
DECLARE
    v_join record;
BEGIN
    FOR v_join IN SELECT j.role, j.options FROM pg_temp.joined AS j LOOP
        BEGIN
            EXECUTE format('GRANT %I TO CURRENT_USER', v_join.role) || v_join.options;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'Nothing was granted: % may not act for %.', current_user, v_join.role
                USING HINT = format(
                    'As a superuser, or as whoever made that role: GRANT %I TO %I WITH ADMIN OPTION; then run this file again.',
                    v_join.role, current_user
                );
        END;
    END LOOP;
END
$block$;

-- Nobody but the owner and superusers may create in these schemas: readers ask its functions there,
-- and one of the same name could be asked instead. Who owns a schema could put views in place of
-- what readers ask.
CREATE SCHEMA IF NOT EXISTS "ml" AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS "feature_store" AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS feature_store_audit AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS feature_log AUTHORIZATION :"owner";
DO $block$
DECLARE
    v_owner_name text := current_setting('feature_store.owner');
    v_owner regrole := quote_ident(v_owner_name)::regrole;
    v_wrong record;
BEGIN
    SELECT * INTO v_wrong
    FROM (
        SELECT
            format('the schema %I belongs to %s', n.nspname, n.nspowner::regrole) AS problem,
            -- Whoever is no superuser must be a member of the new owner, too. Who has tables there goes on.
            concat(
                (SELECT max(format('GRANT %I TO CURRENT_USER; ', j.role)) FROM pg_temp.joined AS j WHERE j.role = v_owner_name),
                format('ALTER SCHEMA %I OWNER TO %s; ', n.nspname, v_owner),
                format('GRANT USAGE ON SCHEMA %I TO %s', n.nspname, n.nspowner::regrole)
            ) AS remedy
        FROM pg_namespace AS n
        INNER JOIN pg_roles AS r ON n.nspowner = r.oid
        WHERE
            n.nspname IN ('ml', 'feature_store', 'feature_store_audit', 'feature_log')
            AND n.nspowner <> v_owner
            AND NOT r.rolsuper
        UNION ALL
        SELECT
            format('%s may create in the schema %I', w.who, n.nspname) AS problem,
            format('REVOKE CREATE ON SCHEMA %I FROM %s', n.nspname, w.who) AS remedy
        FROM pg_namespace AS n
        CROSS JOIN LATERAL aclexplode(n.nspacl) AS g
        CROSS JOIN LATERAL (
            SELECT CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS who
        ) AS w
        LEFT JOIN pg_roles AS r ON g.grantee = r.oid
        WHERE
            n.nspname IN ('ml', 'feature_store', 'feature_store_audit', 'feature_log')
            AND g.privilege_type = 'CREATE'
            AND g.grantee NOT IN (n.nspowner, v_owner)
            AND r.rolsuper IS NOT TRUE
    ) AS wrong
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Nothing was granted: %. Only the owner % and superusers may be.', v_wrong.problem, v_owner
        USING HINT = v_wrong.remedy || '; then run this file again. Or name the role that owns the store: -v owner=NAME.';
    END IF;
END
$block$;
-- A reader that falls silent in the middle of a transaction keeps the next blocking refresh waiting,
-- and vacuum from cleaning up; a reviewer keeps the next judgement of history. Whoever has set this
-- himself keeps it.
SELECT format(
    'ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L', w.role, current_database(), w.patience
)
FROM (VALUES (:'reader', '1h'), (:'reviewer', '1min'), (:'page', '1min')) AS w (role, patience)
WHERE NOT EXISTS (
    SELECT FROM pg_db_role_setting AS s
    INNER JOIN pg_roles AS r ON s.setrole = r.oid AND r.rolname = w.role
    CROSS JOIN unnest(s.setconfig) AS c (setting)
    WHERE c.setting LIKE 'idle_in_transaction_session_timeout=%'
        AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
)
\gexec

-- The store's relations, and which of them readers read: the read layers, what carries a feature set, and
-- what store.toml names (for_readers).
CREATE TEMPORARY TABLE store_relation (schema text, name text, for_reader boolean) ON COMMIT DROP;
INSERT INTO pg_temp.store_relation (schema, name, for_reader) VALUES
('feature_store', 'device_color_v1', FALSE),
('feature_store', 'device_count_day_v1_mv', TRUE),
('feature_store', 'device_meta_encoded_t0_v1', TRUE),
('feature_store', 'device_meta_gmc_stats_t0_v1_mv', TRUE),
('feature_store', 'listing_device_features_clean_mv', TRUE),
('feature_store', 'v_device_meta_base_t0_v1', FALSE),
('ml', 'ask_daily_median_v1', FALSE),
('ml', 'sold_durations_v1_mv', FALSE),
('ml', 'sold_prices_v1_mv', FALSE),
('ml', 'spam_listings_v1', FALSE),
('ml', 'spam_token_v1', FALSE),
('ml', 'tom_features_v1_enriched_ai_clean_mv', TRUE),
('ml', 'tom_features_v1_enriched_clean_mv', TRUE),
('ml', 'tom_features_v1_enriched_mv', TRUE),
('ml', 'tom_features_v1_enriched_speed_mv', TRUE),
('ml', 'tom_features_v1_mv', FALSE),
('ml', 'tom_labels_v1_mv', TRUE),
('ml', 'tom_speed_anchor_v1_mv', TRUE),
('ml', 'tom_speed_cohort_v1', FALSE),
('ml', 'tom_train_base_v1_mv', TRUE);

-- What readers read of other relations: t0, labels, and the entity by which these are joined.
CREATE TEMPORARY TABLE reader_column (schema text, name text, column_name text) ON COMMIT DROP;

-- The tables of yours that it reads.
CREATE TEMPORARY TABLE store_source (schema text, name text) ON COMMIT DROP;
INSERT INTO pg_temp.store_source (schema, name) VALUES
('iPhone', 'iphone_listings'),
('iPhone', 'iphone_ai_enrich'),
('feature_store', 'device_image_features_unified_v1');

-- Where its relations are, and the functions that readers call.
CREATE TEMPORARY TABLE governed (schema text) ON COMMIT DROP;
INSERT INTO pg_temp.governed (schema) VALUES
('ml'),
('feature_store');

-- The contract: only the owner stamps. Readers need no privilege on it to have it asserted; they read
-- in it which columns are features.
CREATE TEMPORARY TABLE contract_table (relation text) ON COMMIT DROP;
INSERT INTO pg_temp.contract_table (relation)
SELECT format('%I.%I', s.schema, t.name)
FROM pg_temp.governed AS s
CROSS JOIN (
    VALUES ('feature_set'), ('feature_contract'), ('feature_set_current'), ('feature_set_binding')
) AS t (name);

-- The record of what every run did. The refresher adds to it, because it is what refreshes, proves
-- and certifies; it reads all of it and changes nothing that stands there. What a column's default
-- gives (numbers, times, who wrote it) comes from the server: the refresher may fill the others alone, and
-- where columns are named only these: by whom history was accepted, and why, only who accepts it says.
CREATE TEMPORARY TABLE audit_log (relation text, columns text []) ON COMMIT DROP;
INSERT INTO pg_temp.audit_log (relation, columns) VALUES
('asking_log', NULL),
('expectation_log', NULL),
('fact', NULL),
('feature_bins_log', NULL),
('feature_month_log', NULL),
('feature_nulls_log', NULL),
('feature_profile_log', NULL),
('feature_skew_log', NULL),
('history_change', NULL),
('history_closing_log', '{finding_id, outcome}'),
('history_day', NULL),
('history_finding_log', NULL),
('history_judgement_log', NULL),
('history_mail_log', NULL),
('history_row', NULL),
('history_sighting_log', NULL),
('lineage_log', NULL),
('mail_log', NULL),
('mail_result_log', NULL),
('profile_log', NULL),
('proof_log', NULL),
('refresh', NULL),
('reuse_log', NULL),
('run_log', NULL),
('spam_seen_log', NULL),
('suite_log', NULL),
('verdict_log', '{dag_id, run_id, problem, go, account}');

-- What the page shows.
CREATE TEMPORARY TABLE page_relation (relation text) ON COMMIT DROP;
INSERT INTO pg_temp.page_relation (relation) VALUES
('certified'), ('definition'), ('expectation'), ('fact'), ('feature_lineage'), ('feature_nulls'),
('feature_month'), ('feature_profile'), ('feature_skew'), ('finding'), ('history_finding'), ('last_certified'),
('latest_refresh'), ('layer_now'), ('lease'), ('profile'), ('proof'), ('proof_inventory'), ('refresh'), ('reuse'), ('run'), ('store');

-- What of the record changes or goes does so by these functions of the owner's.
CREATE TEMPORARY TABLE audit_function (name text, for_role text) ON COMMIT DROP;
INSERT INTO pg_temp.audit_function (name, for_role) VALUES
('accept_backfill_day(bigint)', :'refresher'),
('analyze_history()', :'refresher'),
('analyze_view(text)', :'refresher'),
('begin_baseline(bigint,text,text,jsonb,text)', :'refresher'),
('certificates(text[])', :'refresher'),
('certified_profile(text)', :'refresher'),
('certify_and_log(bigint,text[],text[])', :'refresher'),
('confirm_lease(text,text)', :'refresher'),
('drop_changes(bigint,text,date[])', :'refresher'),
('drop_months(bigint,text,bigint)', :'refresher'),
('forget(integer)', :'refresher'),
('keep_broken_logs(text,text,text[])', :'refresher'),
('keep_said(bigint,text,date[],integer[],text[],bytea[],text[])', :'refresher'),
('keep_seen(bigint,text,jsonb)', :'refresher'),
('latest_refreshes()', :'refresher'),
('move_baseline(bigint,text,date[],bigint[],bytea[])', :'refresher'),
('queries()', :'refresher'),
('read_with(text[])', :'refresher'),
('refresh_view(bigint,text,boolean)', :'refresher'),
('release_lease(text,text)', :'refresher'),
('sources_until(text)', :'refresher'),
('take_lease(text,text,bigint)', :'refresher'),
('withdraw_broken(text,text)', :'refresher'),
('accept_history(date, text, text, text)', :'reviewer'),
('certificates(text[])', :'page'),
('read_with(text[])', :'page'),
('sources_until(text)', :'page');

-- First of all they lose what an earlier version of this file gave them here.
REVOKE ALL ON ALL TABLES IN SCHEMA feature_store_audit, feature_log FROM :"refresher", :"reader", :"reviewer", :"page";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA feature_store_audit FROM :"refresher", :"reader", :"reviewer", :"page";
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA feature_store_audit FROM :"refresher", :"reader", :"reviewer", :"page";

-- The owner keeps all views, and refreshes them by functions that the refresher may call. Earlier versions
-- gave them to the refresher on PostgreSQL 15 and 16, with temporary tables, and MAINTAIN later. This comes
-- before the grants: with a view go those that its owner had on it.
SELECT bool_or(pg_get_userbyid(c.relowner) = :'refresher') IS TRUE AS is_handed_over
FROM pg_temp.store_relation AS r
INNER JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', r.schema, r.name)) AND c.relkind = 'm' \gset
SELECT format('ALTER MATERIALIZED VIEW %s OWNER TO %I', c.oid::regclass, :'owner')
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE
    n.nspname IN ('ml', 'feature_store')
    AND c.relkind = 'm'
    AND pg_get_userbyid(c.relowner) = :'refresher'
\gexec
\if :is_handed_over
REVOKE TEMPORARY ON DATABASE :"database" FROM :"refresher";
\endif
\if :has_maintain
SELECT format('REVOKE MAINTAIN ON %s FROM %I', c.oid::regclass, :'refresher')
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
CROSS JOIN LATERAL aclexplode(c.relacl) AS g
WHERE
    n.nspname IN ('ml', 'feature_store')
    AND g.privilege_type = 'MAINTAIN'
    AND pg_get_userbyid(g.grantee) = :'refresher'
    AND pg_get_userbyid(c.relowner) = :'owner'
\gexec
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA "ml", "feature_store"
REVOKE MAINTAIN ON TABLES FROM :"refresher";
\endif

-- A new relation (its file and its specification in the store's folder, then apply) can be refreshed at once.
-- Readers read it once this file, written anew, was run.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA "ml", "feature_store"
GRANT SELECT ON TABLES TO :"refresher";

-- What was served: the refresher compares it with today, readers train on it. Nobody writes it but by the
-- owner's functions. Sets with a log: iphone_device_meta_encoded_v2_model, tom_features_v1.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA feature_log
GRANT SELECT ON TABLES TO :"refresher", :"reader";

-- All that is granted: on what, which columns of it (NULL: all of it), what, and to whom.
CREATE TEMPORARY TABLE wanted (kind text, thing text, columns name [], privilege text, role text) ON COMMIT DROP;

-- A materialized view's query runs as the view's owner, and a concurrent refresh needs that it may create
-- temporary tables. apply --replace builds what is new in a schema of its own beside the old, which it drops
-- at the end.
INSERT INTO pg_temp.wanted (kind, thing, privilege, role)
SELECT
    'DATABASE' AS kind,
    quote_ident(current_database()) AS thing,
    w.privilege,
    w.role
FROM (
    VALUES
    ('CONNECT', :'owner'), ('CONNECT', :'refresher'), ('CONNECT', :'reader'), ('CONNECT', :'reviewer'),
    ('CONNECT', :'page'), ('TEMPORARY', :'owner'), ('CREATE', :'owner')
) AS w (privilege, role)
UNION ALL
SELECT
    'SCHEMA' AS kind,
    quote_ident(s.schema) AS thing,
    s.privilege,
    s.role
FROM (
    SELECT
        g.schema,
        w.privilege,
        w.role
    FROM pg_temp.governed AS g
    CROSS JOIN (
        VALUES
        ('USAGE', :'owner'), ('CREATE', :'owner'), ('USAGE', :'refresher'), ('USAGE', :'reader'), ('USAGE', :'page')
    ) AS w (privilege, role)
    UNION
    SELECT
        f.schema,
        'USAGE' AS privilege,
        w.role
    FROM pg_temp.store_source AS f
    CROSS JOIN (VALUES (:'owner'), (:'refresher')) AS w (role)
    UNION
    VALUES
    ('feature_store_audit', 'USAGE', :'owner'), ('feature_store_audit', 'CREATE', :'owner'),
    ('feature_store_audit', 'USAGE', :'refresher'), ('feature_store_audit', 'USAGE', :'reviewer'),
    ('feature_store_audit', 'USAGE', :'page'),
    ('feature_log', 'USAGE', :'owner'), ('feature_log', 'CREATE', :'owner'),
    ('feature_log', 'USAGE', :'refresher'), ('feature_log', 'USAGE', :'reader')
) AS s (schema, privilege, role);

-- The sources, which belong to you. The owner reads them to fill the views; the refresher to record,
-- in the same snapshot, what a refresh saw.
INSERT INTO pg_temp.wanted (kind, thing, privilege, role)
SELECT
    'TABLE' AS kind,
    format('%I.%I', s.schema, s.name) AS thing,
    'SELECT' AS privilege,
    r.role
FROM pg_temp.store_source AS s
CROSS JOIN (VALUES (:'owner'), (:'refresher')) AS r (role);

-- What of all this is there: nothing of the store before the first apply.
INSERT INTO pg_temp.wanted (kind, thing, privilege, role)
SELECT
    'TABLE' AS kind,
    to_regclass(g.relation)::text AS thing,
    g.privilege,
    g.role
FROM (
    SELECT
        format('%I.%I', r.schema, r.name) AS relation,
        'SELECT' AS privilege,
        :'refresher' AS role
    FROM pg_temp.store_relation AS r
    UNION ALL
    SELECT
        format('%I.%I', r.schema, r.name) AS relation,
        'SELECT' AS privilege,
        :'reader' AS role
    FROM pg_temp.store_relation AS r
    WHERE r.for_reader
    UNION ALL
    SELECT
        t.relation,
        'SELECT' AS privilege,
        w.role
    FROM pg_temp.contract_table AS t
    CROSS JOIN (VALUES (:'refresher'), (:'reader'), (:'page')) AS w (role)
    UNION ALL
    SELECT
        'feature_store_audit.' || quote_ident(c.relname) AS relation,
        'SELECT' AS privilege,
        :'refresher' AS role
    FROM pg_class AS c
    WHERE c.relnamespace = 'feature_store_audit'::regnamespace AND c.relkind IN ('r', 'v')
    UNION ALL
    SELECT
        format('%I.%I', n.nspname, c.relname) AS relation,
        'SELECT' AS privilege,
        w.role
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
    CROSS JOIN (VALUES (:'refresher'), (:'reader')) AS w (role)
    WHERE n.nspname = 'feature_log' AND c.relkind IN ('r', 'v')
    UNION ALL
    -- To lock a table takes UPDATE on it. This one has no row.
    SELECT
        'feature_store_audit.history_lock' AS relation,
        'UPDATE' AS privilege,
        :'refresher' AS role
    UNION ALL
    SELECT
        'feature_store_audit.' || p.relation AS relation,
        'SELECT' AS privilege,
        :'page' AS role
    FROM pg_temp.page_relation AS p
    UNION ALL
    SELECT
        'feature_store_audit.' || w.relation AS relation,
        'SELECT' AS privilege,
        :'reviewer' AS role
    FROM (VALUES ('history_finding'), ('history_judgement'), ('migration')) AS w (relation)
) AS g
WHERE to_regclass(g.relation) IS NOT NULL;

INSERT INTO pg_temp.wanted (kind, thing, columns, privilege, role)
SELECT
    'TABLE' AS kind,
    to_regclass('feature_store_audit.' || l.relation)::text AS thing,
    array_agg(a.attname ORDER BY a.attnum) AS columns,
    'INSERT' AS privilege,
    :'refresher' AS role
FROM pg_temp.audit_log AS l
INNER JOIN pg_attribute AS a ON a.attrelid = to_regclass('feature_store_audit.' || l.relation)
WHERE
    a.attnum > 0
    AND NOT a.attisdropped
    AND CASE WHEN l.columns IS NULL THEN NOT a.atthasdef ELSE a.attname = ANY(l.columns) END
GROUP BY l.relation
UNION ALL
SELECT
    'TABLE' AS kind,
    a.attrelid::regclass::text AS thing,
    array_agg(a.attname ORDER BY a.attnum) AS columns,
    'SELECT' AS privilege,
    :'reader' AS role
FROM pg_temp.reader_column AS r
INNER JOIN pg_attribute AS a
    ON a.attrelid = to_regclass(format('%I.%I', r.schema, r.name)) AND r.column_name = a.attname
WHERE a.attnum > 0 AND NOT a.attisdropped
GROUP BY a.attrelid
UNION ALL
-- To lock the lease takes UPDATE on some column of it. This one can be nothing but true.
SELECT
    'TABLE' AS kind,
    'feature_store_audit.lease' AS thing,
    '{only_one}' AS columns,
    'UPDATE' AS privilege,
    :'refresher' AS role
WHERE to_regclass('feature_store_audit.lease') IS NOT NULL;

INSERT INTO pg_temp.wanted (kind, thing, privilege, role)
SELECT
    'SEQUENCE' AS kind,
    'feature_store_audit.event' AS thing,
    'USAGE' AS privilege,
    :'refresher' AS role
WHERE to_regclass('feature_store_audit.event') IS NOT NULL
UNION ALL
SELECT
    'FUNCTION' AS kind,
    to_regprocedure(f.name)::text AS thing,
    'EXECUTE' AS privilege,
    f.role
FROM (
    SELECT
        'feature_store_audit.' || a.name AS name,
        a.for_role AS role
    FROM pg_temp.audit_function AS a
    UNION ALL
    SELECT
        quote_ident(s.schema) || '.' || f.name AS name,
        f.role
    FROM pg_temp.governed AS s
    CROSS JOIN (
        VALUES
        ('assert_feature_contract(text)', :'reader'),
        ('require_certified(text, interval)', :'reader'),
        ('store_freshness(interval)', :'reader'),
        ('store_freshness(interval)', :'refresher'),
        ('check_feature_contract(text)', :'refresher'),
        ('check_feature_contract(text)', :'page')
    ) AS f (name, role)
) AS f
WHERE to_regprocedure(f.name) IS NOT NULL;

-- What is somebody else's only that somebody can grant; a GRANT that gives nothing only warns. So each is
-- looked at afterwards, and what is missing is told to whom it belongs.
SET LOCAL client_min_messages = error;
DO $block$
DECLARE
    v_wanted record;
    v_missing text;
BEGIN
    FOR v_wanted IN SELECT w.* FROM pg_temp.wanted AS w LOOP
        BEGIN
            EXECUTE format(
                'GRANT %s%s ON %s %s TO %I',
                v_wanted.privilege,
                ' (' || (SELECT string_agg(quote_ident(c.name), ', ') FROM unnest(v_wanted.columns) AS c (name)) || ')',
                v_wanted.kind, v_wanted.thing, v_wanted.role
            );
        EXCEPTION
            WHEN insufficient_privilege THEN NULL;
        END;
    END LOOP;

    SELECT
        string_agg(
            format(
                'GRANT %s%s ON %s %s TO %I',
                w.privilege,
                ' (' || (SELECT string_agg(quote_ident(c.name), ', ') FROM unnest(w.columns) AS c (name)) || ')',
                w.kind, w.thing, w.role
            ), '; '
            ORDER BY w.kind, w.thing, w.role
        )
    INTO v_missing
    FROM pg_temp.wanted AS w
    -- Not by name: who may not use a schema may not look names up in it.
    LEFT JOIN pg_namespace AS n
        ON w.thing = quote_ident(n.nspname) OR starts_with(w.thing, quote_ident(n.nspname) || '.')
    LEFT JOIN pg_class AS c ON n.oid = c.relnamespace AND w.thing = format('%I.%I', n.nspname, c.relname)
    WHERE CASE w.kind
        WHEN 'DATABASE' THEN has_database_privilege(w.role, current_database(), w.privilege)
        WHEN 'SCHEMA' THEN has_schema_privilege(w.role, n.oid, w.privilege)
        WHEN 'SEQUENCE' THEN has_sequence_privilege(w.role, c.oid, w.privilege)
        WHEN 'FUNCTION' THEN has_function_privilege(w.role, w.thing, w.privilege)
        ELSE
            has_table_privilege(w.role, c.oid, w.privilege)
            OR (
                SELECT bool_and(has_column_privilege(w.role, c.oid, a.name::text, w.privilege))
                FROM unnest(w.columns) AS a (name)
            )
    END IS NOT TRUE;
    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION 'Nothing was granted: % may not grant all of it.', current_user
        USING HINT = format('As the owner of these: %s; then run this file again.', v_missing);
    END IF;
END
$block$;
SET LOCAL client_min_messages = warning;

SELECT bool_and(to_regclass(format('%I.%I', r.schema, r.name)) IS NOT NULL) AS complete
FROM pg_temp.store_relation AS r \gset

SELECT j.leave FROM pg_temp.joined AS j
\gexec

-- Who can become the owner is as good as it.
SELECT
    count(*) > 0 AS has_peers,
    string_agg(w.role, ', ' ORDER BY w.role) AS peers
FROM (VALUES (:'refresher'), (:'reader'), (:'reviewer'), (:'page')) AS w (role)
WHERE pg_has_role(w.role, :'owner', 'MEMBER') \gset

COMMIT;
\if :has_peers
\echo As good as :owner, being superusers or members of it: :peers
\endif
\if :complete
\echo The roles have what they need.
\else
\echo The store is not complete yet. Apply as :owner (bin/feature-store apply), then run this file again.
\endif
