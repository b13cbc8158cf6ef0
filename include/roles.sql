-- Roles: who may do what with the feature store. To be read, and run, by the administrator of the
-- database (a superuser, or whoever may do all of the below):
--
--   psql -d scrapes -f include/roles.sql
--   psql -d scrapes -v owner=etl -v refresher=airflow -v reader=analysts -v page=web -f include/roles.sql
--
-- owner      creates the store (bin/feature-store apply, stamp-contract) and owns it
-- refresher  runs the DAG, every night, and nothing else
-- reader     trains and predicts: what is certified, and the functions that say so
-- page       the page in Airflow: the record of what every run did, and nothing of the rows themselves
--
-- Run it before the first apply and after every apply that created something. It is one transaction;
-- run again it grants what is missing and changes nothing else. It revokes nothing of yours and
-- grants nothing on your own tables but SELECT on the three that the store reads: on whole tables,
-- because telling whether a table has changed takes its system columns, too.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?owner} \else \set owner feature_store_owner \endif
\if :{?refresher} \else \set refresher feature_store_refresher \endif
\if :{?reader} \else \set reader feature_store_reader \endif
\if :{?page} \else \set page feature_store_page \endif
SELECT current_setting('server_version_num')::integer >= 170000 AS has_maintain \gset

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;

-- The roles. A missing one is created without a password: give it one with \password, or have people
-- log in as themselves and be members of it (GRANT feature_store_reader TO ann).
SELECT format('CREATE ROLE %I LOGIN', r.name)
FROM (VALUES (:'owner'), (:'refresher'), (:'reader'), (:'page')) AS r (name)
WHERE NOT EXISTS (SELECT FROM pg_roles AS p WHERE p.rolname = r.name)
\gexec

-- A materialized view's query runs as the view's owner, whoever refreshes it; and a concurrent
-- refresh needs that this owner may create temporary tables.
SELECT current_database() AS database, CASE WHEN :'has_maintain' THEN :'owner' ELSE :'refresher' END AS keeper \gset
GRANT CONNECT ON DATABASE :"database" TO :"owner", :"refresher", :"reader", :"page";
GRANT TEMPORARY ON DATABASE :"database" TO :"owner", :"keeper";
-- apply --replace builds what is new in a schema of its own beside the old, which it drops at the end.
GRANT CREATE ON DATABASE :"database" TO :"owner";

-- Nobody but the owner may create in these schemas: its functions run with its privileges and find
-- their tables there.
CREATE SCHEMA IF NOT EXISTS ml AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS feature_store AUTHORIZATION :"owner";
CREATE SCHEMA IF NOT EXISTS feature_store_audit AUTHORIZATION :"owner";
GRANT USAGE, CREATE ON SCHEMA ml, feature_store, feature_store_audit TO :"owner";
GRANT USAGE ON SCHEMA ml, feature_store, feature_store_audit TO :"refresher", :"page";
GRANT USAGE ON SCHEMA ml, feature_store TO :"reader";

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

-- The record of what every run did: the refresher writes it, because it is what refreshes, proves and
-- certifies, and what ends the record of old runs. It cannot rewrite a refresh, take a certification
-- away, nor say what apply did. The page reads what it shows.
CREATE TEMPORARY TABLE audit_table (relation text, privileges text, for_page boolean) ON COMMIT DROP;
INSERT INTO pg_temp.audit_table (relation, privileges, for_page) VALUES
('certified', 'SELECT, INSERT, UPDATE', TRUE),
('definition', 'SELECT', TRUE),
('expectation', 'SELECT, INSERT, DELETE', TRUE),
('fact', 'SELECT, INSERT', TRUE),
('feature_lineage', 'SELECT, INSERT, UPDATE, DELETE', TRUE),
('feature_nulls', 'SELECT, INSERT, UPDATE, DELETE', TRUE),
('history_change', 'SELECT, INSERT, DELETE', FALSE),
('history_day', 'SELECT, INSERT, UPDATE, DELETE', FALSE),
('history_finding', 'SELECT, INSERT, UPDATE, DELETE', TRUE),
('history_judgement', 'SELECT, INSERT, UPDATE, DELETE', FALSE),
('history_layer', 'SELECT, INSERT, UPDATE', FALSE),
('history_row', 'SELECT, INSERT, DELETE', FALSE),
('latest_refresh', 'SELECT', TRUE),
('lease', 'SELECT, UPDATE', TRUE),
('migration', 'SELECT', FALSE),
('proof', 'SELECT, INSERT, UPDATE, DELETE', TRUE),
('refresh', 'SELECT, INSERT, DELETE', TRUE),
('reuse', 'SELECT, INSERT, UPDATE, DELETE', TRUE),
('run', 'SELECT, INSERT, UPDATE, DELETE', TRUE),
('spam_seen', 'SELECT, INSERT, DELETE', FALSE),
('this_run', 'SELECT', FALSE);

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
SELECT format('GRANT %s ON feature_store_audit.%I TO %I', t.privileges, t.relation, :'refresher')
FROM pg_temp.audit_table AS t
WHERE to_regclass('feature_store_audit.' || t.relation) IS NOT NULL
UNION ALL
SELECT format('GRANT SELECT ON feature_store_audit.%I TO %I', t.relation, :'page')
FROM pg_temp.audit_table AS t
WHERE t.for_page AND to_regclass('feature_store_audit.' || t.relation) IS NOT NULL
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

-- Whoever may create where those functions look can slip them something of their own, which then runs
-- as the owner. What others were granted is yours to take back.
SELECT
    coalesce(
        string_agg(
            format('%s may create in the schema %I', coalesce(a.rolname, 'everybody'), n.nspname),
            '; ' ORDER BY n.nspname, a.rolname
        ), ''
    ) AS others,
    count(*) > 0 AS has_others
FROM pg_namespace AS n
CROSS JOIN aclexplode(n.nspacl) AS g
LEFT JOIN pg_roles AS a ON g.grantee = a.oid
WHERE
    n.nspname IN ('ml', 'feature_store', 'feature_store_audit')
    AND g.privilege_type = 'CREATE'
    AND g.grantee <> n.nspowner
    AND a.rolname IS DISTINCT FROM :'owner'
    AND a.rolsuper IS NOT TRUE \gset
COMMIT;
\if :has_others
\echo Warning: :others. The functions that run as :owner look there: REVOKE CREATE ON SCHEMA from them.
\endif
\if :complete
\echo The roles have what they need.
\else
\echo The store is not complete yet. Apply as :owner (bin/feature-store apply), then run this file again.
\endif
