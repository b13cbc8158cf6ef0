-- Roles: who may do what with the feature store. To be read, and run, by the administrator of the
-- database (a superuser, or whoever may do all of the below):
--
--   psql -d scrapes -f include/roles.sql
--   psql -d scrapes -v owner=etl -v refresher=airflow -v reader=analysts -v page=web \
--     -v reviewer=leads -f include/roles.sql
--
-- owner      creates the store (bin/feature-store apply, stamp-contract) and owns it
-- refresher  runs the DAG, every night, and nothing else
-- reader     trains and predicts: what is certified, and the functions that say so
-- reviewer   accepts that the past has changed (bin/feature-store accept-history), and nothing else
-- page       the page in Airflow: the record of what every run did, with the sample rows in it
--
-- Run it before the first apply and after every apply that created something. It is one transaction;
-- run again it grants what is missing, takes back what these roles have too much in
-- feature_store_audit, and changes nothing else. It revokes nothing on your own tables, and grants
-- nothing on them but SELECT on the three that the store reads: on whole tables, because telling
-- whether a table has changed takes its system columns, too.
--
-- Who is trusted: a superuser, the owner, and whoever owns a source, for a refresh reads sources with
-- the owner's privileges. SECURITY.md says what each role can still do.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?owner} \else \set owner feature_store_owner \endif
\if :{?refresher} \else \set refresher feature_store_refresher \endif
\if :{?reader} \else \set reader feature_store_reader \endif
\if :{?reviewer} \else \set reviewer feature_store_reviewer \endif
\if :{?page} \else \set page feature_store_page \endif
SELECT current_setting('server_version_num')::integer >= 170000 AS has_maintain \gset

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;

-- The roles. A missing one is created without a password: give it one with \password, or have people
-- log in as themselves and be members of it (GRANT feature_store_reader TO ann).
SELECT format('CREATE ROLE %I LOGIN', r.name)
FROM (VALUES (:'owner'), (:'refresher'), (:'reader'), (:'reviewer'), (:'page')) AS r (name)
WHERE NOT EXISTS (SELECT FROM pg_roles AS p WHERE p.rolname = r.name)
\gexec

-- A materialized view's query runs as the view's owner, whoever refreshes it; and a concurrent
-- refresh needs that this owner may create temporary tables.
SELECT current_database() AS database, CASE WHEN :'has_maintain' THEN :'owner' ELSE :'refresher' END AS keeper \gset
GRANT CONNECT ON DATABASE :"database" TO :"owner", :"refresher", :"reader", :"reviewer", :"page";
GRANT TEMPORARY ON DATABASE :"database" TO :"owner", :"keeper";
-- apply --replace builds what is new in a schema of its own beside the old, which it drops at the end.
GRANT CREATE ON DATABASE :"database" TO :"owner";

-- Nobody but the owner and superusers may create in these schemas: readers ask its functions there,
-- and one of the same name could be asked instead. Who owns a schema could put views in place of
-- what readers ask.
CREATE SCHEMA IF NOT EXISTS ml AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS feature_store AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS feature_store_audit AUTHORIZATION :"owner";
SELECT set_config('feature_store.owner', :'owner', TRUE) AS ignored \gset
DO $block$
DECLARE
    v_owner regrole := quote_ident(current_setting('feature_store.owner'))::regrole;
    v_wrong record;
BEGIN
    SELECT
        format('the store belongs to %s, not to %s', c.relowner::regrole, v_owner) AS problem,
        format('name it: -v owner=%s', c.relowner::regrole) AS remedy
    INTO v_wrong
    FROM pg_class AS c
    WHERE c.oid = to_regclass('feature_store_audit.migration') AND c.relowner <> v_owner;
    IF FOUND THEN
        RAISE EXCEPTION 'Nothing was granted: %.', v_wrong.problem USING HINT = v_wrong.remedy;
    END IF;
    SELECT * INTO v_wrong
    FROM (
        SELECT
            format('the schema %I belongs to %s', n.nspname, n.nspowner::regrole) AS problem,
            format('ALTER SCHEMA %I OWNER TO %s', n.nspname, v_owner) AS remedy
        FROM pg_namespace AS n
        INNER JOIN pg_roles AS r ON n.nspowner = r.oid
        WHERE
            n.nspname IN ('ml', 'feature_store', 'feature_store_audit')
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
            n.nspname IN ('ml', 'feature_store', 'feature_store_audit')
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
GRANT USAGE, CREATE ON SCHEMA ml, feature_store, feature_store_audit TO :"owner";
GRANT USAGE ON SCHEMA ml, feature_store, feature_store_audit TO :"refresher", :"page";
GRANT USAGE ON SCHEMA ml, feature_store TO :"reader";
GRANT USAGE ON SCHEMA feature_store_audit TO :"reviewer";

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
)
\gexec

-- The sources, which belong to you. The owner reads them to fill the views; the refresher to record,
-- in the same snapshot, what a refresh saw.
GRANT USAGE ON SCHEMA "iPhone" TO :"owner", :"refresher";
GRANT SELECT ON
"iPhone".iphone_listings,
"iPhone".iphone_ai_enrich,
feature_store.device_image_features_unified_v1
TO :"owner", :"refresher";

-- The store's relations, and which of them readers read: the read layers, B, C and F3.
CREATE TEMPORARY TABLE store_relation (relation text, for_reader boolean) ON COMMIT DROP;
INSERT INTO pg_temp.store_relation (relation, for_reader) VALUES
('ml.tom_features_v1_mv', FALSE),
('ml.tom_labels_v1_mv', TRUE),
('ml.tom_train_base_v1_mv', TRUE),
('ml.sold_durations_v1_mv', FALSE),
('ml.ask_daily_median_v1', FALSE),
('ml.sold_prices_v1_mv', FALSE),
('ml.tom_features_v1_enriched_mv', TRUE),
('ml.tom_features_v1_enriched_clean_mv', TRUE),
('ml.tom_speed_anchor_v1_mv', TRUE),
('ml.tom_features_v1_enriched_speed_mv', TRUE),
('ml.tom_features_v1_enriched_ai_clean_mv', TRUE),
('ml.spam_token_v1', FALSE),
('ml.spam_listings_v1', FALSE),
('ml.tom_speed_cohort_v1', FALSE),
('feature_store.listing_device_features_clean_mv', TRUE),
('feature_store.device_color_v1', FALSE),
('feature_store.v_device_meta_base_t0_v1', FALSE),
('feature_store.device_count_day_v1_mv', TRUE),
('feature_store.device_meta_gmc_stats_t0_v1_mv', TRUE),
('feature_store.device_meta_encoded_t0_v1', TRUE);

-- The contract: only the owner stamps. Readers need no privilege on it to have it asserted; they read
-- in it which columns are features.
CREATE TEMPORARY TABLE contract_table (relation text) ON COMMIT DROP;
INSERT INTO pg_temp.contract_table (relation)
SELECT concat_ws('.', s.name, t.name)
FROM (VALUES ('ml'), ('feature_store')) AS s (name)
CROSS JOIN (
    VALUES ('feature_set'), ('feature_contract'), ('feature_set_current'), ('feature_set_binding')
) AS t (name);

-- The record of what every run did. The refresher adds to it, because it is what refreshes, proves
-- and certifies; it reads all of it and changes nothing that stands there. What a column's default
-- gives (numbers, times, who wrote it) comes from the server: the refresher may fill the others alone.
CREATE TEMPORARY TABLE audit_log (relation text, columns text []) ON COMMIT DROP;
INSERT INTO pg_temp.audit_log (relation, columns) VALUES
('expectation_log', NULL),
('fact', NULL),
('feature_nulls_log', NULL),
('history_change', NULL),
('history_closing_log', '{finding_id, outcome}'), -- and not by whom, or why: only who accepts says that
('history_day', NULL),
('history_finding_log', NULL),
('history_judgement_log', NULL),
('history_mail_log', NULL),
('history_row', NULL),
('history_sighting_log', NULL),
('lineage_log', NULL),
('proof_log', NULL),
('refresh', NULL),
('reuse_log', NULL),
('run_log', NULL),
('spam_seen_log', NULL),
('suite_log', NULL),
('verdict_log', NULL);

-- What the page shows.
CREATE TEMPORARY TABLE page_relation (relation text) ON COMMIT DROP;
INSERT INTO pg_temp.page_relation (relation) VALUES
('certified'), ('definition'), ('expectation'), ('fact'), ('feature_lineage'), ('feature_nulls'),
('history_finding'), ('latest_refresh'), ('lease'), ('proof'), ('refresh'), ('reuse'), ('run');

-- What of the record changes or goes does so by these functions of the owner's.
CREATE TEMPORARY TABLE audit_function (name text, for_role text) ON COMMIT DROP;
INSERT INTO pg_temp.audit_function (name, for_role) VALUES
('accept_backfill_day(bigint)', :'refresher'),
('accept_history(date, text, text, text)', :'reviewer'),
('begin_baseline(bigint, text, text, jsonb, text)', :'refresher'),
('certify(bigint, text[])', :'refresher'),
('confirm_lease(text, text)', :'refresher'),
('drop_changes(bigint, text, date[])', :'refresher'),
('forget(integer)', :'refresher'),
('keep_seen(bigint, text, jsonb)', :'refresher'),
('latest_refreshes()', :'refresher'),
('move_baseline(bigint, text, date[], bigint[], bytea[])', :'refresher'),
('release_lease(text, text)', :'refresher'),
('take_lease(text, text, bigint)', :'refresher'),
('withdraw_broken(text, text)', :'refresher');

-- First of all they lose what an earlier version of this file gave them here.
REVOKE ALL ON ALL TABLES IN SCHEMA feature_store_audit FROM :"refresher", :"reader", :"reviewer", :"page";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA feature_store_audit FROM :"refresher", :"reader", :"reviewer", :"page";
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA feature_store_audit FROM :"refresher", :"reader", :"reviewer", :"page";

-- What of all this is there: nothing of the store before the first apply.
SELECT format('GRANT SELECT ON %s TO %I', to_regclass(r.relation), :'refresher')
FROM pg_temp.store_relation AS r
WHERE to_regclass(r.relation) IS NOT NULL
UNION ALL
SELECT format('GRANT SELECT ON %s TO %I', to_regclass(r.relation), :'reader')
FROM pg_temp.store_relation AS r
WHERE r.for_reader AND to_regclass(r.relation) IS NOT NULL
UNION ALL
SELECT format('GRANT SELECT ON %s TO %I, %I, %I', to_regclass(t.relation), :'refresher', :'reader', :'page')
FROM pg_temp.contract_table AS t
WHERE to_regclass(t.relation) IS NOT NULL
UNION ALL
SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA feature_store_audit TO %I', :'refresher')
UNION ALL
SELECT
    format(
        'GRANT INSERT (%s) ON feature_store_audit.%I TO %I',
        string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), l.relation, :'refresher'
    )
FROM pg_temp.audit_log AS l
INNER JOIN pg_attribute AS a ON a.attrelid = to_regclass('feature_store_audit.' || l.relation)
WHERE
    a.attnum > 0
    AND NOT a.attisdropped
    AND CASE WHEN l.columns IS NULL THEN NOT a.atthasdef ELSE a.attname = ANY(l.columns) END
GROUP BY l.relation
UNION ALL
-- To lock the lease takes UPDATE on some column of it. This one can be nothing but true.
SELECT format('GRANT UPDATE (only_one) ON feature_store_audit.lease TO %I', :'refresher')
WHERE to_regclass('feature_store_audit.lease') IS NOT NULL
UNION ALL
-- To lock a table takes UPDATE on it. This one has no row.
SELECT format('GRANT UPDATE ON feature_store_audit.history_lock TO %I', :'refresher')
WHERE to_regclass('feature_store_audit.history_lock') IS NOT NULL
UNION ALL
SELECT format('GRANT USAGE ON SEQUENCE feature_store_audit.event TO %I', :'refresher')
WHERE to_regclass('feature_store_audit.event') IS NOT NULL
UNION ALL
SELECT format('GRANT SELECT ON feature_store_audit.%I TO %I', w.relation, w.role)
FROM (
    SELECT p.relation, :'page' AS role FROM pg_temp.page_relation AS p
    UNION ALL
    VALUES ('history_finding', :'reviewer'), ('history_judgement', :'reviewer'), ('migration', :'reviewer')
) AS w
WHERE to_regclass('feature_store_audit.' || w.relation) IS NOT NULL
UNION ALL
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', to_regprocedure('feature_store_audit.' || f.name), f.for_role)
FROM pg_temp.audit_function AS f
WHERE to_regprocedure('feature_store_audit.' || f.name) IS NOT NULL
UNION ALL
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', to_regprocedure(f.name), f.role)
FROM (
    VALUES
    ('ml.assert_feature_contract(text)', :'reader'),
    ('ml.require_certified(text, interval)', :'reader'),
    ('ml.store_freshness(interval)', :'reader'),
    ('ml.check_feature_contract(text)', :'refresher'),
    ('ml.check_feature_contract(text)', :'page'),
    ('feature_store.assert_feature_contract(text)', :'reader'),
    ('feature_store.require_certified(text, interval)', :'reader'),
    ('feature_store.store_freshness(interval)', :'reader'),
    ('feature_store.check_feature_contract(text)', :'refresher'),
    ('feature_store.check_feature_contract(text)', :'page')
) AS f (name, role)
WHERE to_regprocedure(f.name) IS NOT NULL
\gexec

-- Refreshing. PostgreSQL 17 has a privilege for it; before 17 only a view's owner may refresh it, so
-- there the refresher owns the materialized views, and nothing else: it could drop one, but neither
-- make another in its place nor touch a contract. The owner keeps its say over them as a member.
\if :has_maintain
SELECT format('GRANT MAINTAIN ON %s TO %I', c.oid::regclass, :'refresher')
FROM pg_temp.store_relation AS r
INNER JOIN pg_class AS c ON c.oid = to_regclass(r.relation)
WHERE c.relkind = 'm'
\gexec
\else
GRANT :"refresher" TO :"owner";
\endif
SELECT format('ALTER MATERIALIZED VIEW %s OWNER TO %I', c.oid::regclass, :'keeper')
FROM pg_temp.store_relation AS r
INNER JOIN pg_class AS c ON c.oid = to_regclass(r.relation)
WHERE
    c.relkind = 'm'
    AND pg_get_userbyid(c.relowner) IN (:'owner', :'refresher')
    AND pg_get_userbyid(c.relowner) <> :'keeper'
\gexec

-- A layer of your own (one more file in include/sql, then apply) can be refreshed at once on 17 and
-- later. Before, and to let readers read it, add it to the list above and run this file again.
\if :has_maintain
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA ml, feature_store
GRANT SELECT, MAINTAIN ON TABLES TO :"refresher";
-- The default reaches plain views and the contract's tables, too, which nobody needs to maintain.
SELECT format('REVOKE MAINTAIN ON %s FROM %I', c.oid::regclass, :'refresher')
FROM (
    SELECT r.relation FROM pg_temp.store_relation AS r
    UNION ALL
    SELECT t.relation FROM pg_temp.contract_table AS t
) AS given
INNER JOIN pg_class AS c ON c.oid = to_regclass(given.relation)
WHERE c.relkind <> 'm'
\gexec
\else
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA ml, feature_store
GRANT SELECT ON TABLES TO :"refresher";
\endif

SELECT bool_and(to_regclass(r.relation) IS NOT NULL) AS complete
FROM pg_temp.store_relation AS r \gset

COMMIT;
\if :complete
\echo The roles have what they need.
\else
\echo The store is not complete yet. Apply as :owner (bin/feature-store apply), then run this file again.
\endif
