-- The audit schema: what we created, whose turn it is, and what every refresh did.
-- Migrations are applied once each, in the order of their numbers, and never edited afterwards.
COMMENT ON SCHEMA feature_store_audit IS
'Bookkeeping of the feature store: definitions, the lease, runs and refreshes.';

CREATE TABLE feature_store_audit.migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT current_user
);
COMMENT ON TABLE feature_store_audit.migration IS
'Migrations of this schema that have been applied.';

CREATE TABLE feature_store_audit.definition (
    object text PRIMARY KEY,
    file_definition text NOT NULL,
    live_definition text NOT NULL,
    dictionary text NOT NULL,
    server_major integer NOT NULL DEFAULT current_setting('server_version_num')::integer / 10000,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT current_user
);
COMMENT ON TABLE feature_store_audit.definition IS
'What apply created: the file''s definition, and how the server described the result then. An object that exists without a row here was there before us.';

CREATE TABLE feature_store_audit.lease (
    only_one boolean PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    token bigint NOT NULL,
    dag_id text,
    run_id text,
    taken_at timestamptz,
    seen_at timestamptz
);
COMMENT ON TABLE feature_store_audit.lease IS
'Whose turn it is: one row. A new holder raises token (the fence); NULL while nobody holds it. A refresh keeps the row locked while it works.';
INSERT INTO feature_store_audit.lease (token) VALUES (0);

CREATE TABLE feature_store_audit.run (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    run_type text NOT NULL,
    as_of_day date NOT NULL,
    zone text NOT NULL,
    prepared_at timestamptz NOT NULL,
    server_version text NOT NULL,
    verdict text,
    verdict_at timestamptz,
    PRIMARY KEY (dag_id, run_id)
);
COMMENT ON TABLE feature_store_audit.run IS
'Runs that prepare let through, with their as-of day and, once spoken, their verdict.';

CREATE TABLE feature_store_audit.refresh (
    refresh_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relation text NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    token bigint NOT NULL,
    mode text NOT NULL CHECK (mode IN ('blocking', 'concurrent')),
    row_count bigint NOT NULL,
    bytes bigint NOT NULL,
    seconds double precision NOT NULL,
    snapshot pg_snapshot NOT NULL,
    zone text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL
);
CREATE INDEX refresh_relation_idx ON feature_store_audit.refresh (relation, refresh_id);
COMMENT ON TABLE feature_store_audit.refresh IS
'One row per refresh that took effect, written in the same transaction: a killed refresh leaves none.';

CREATE TABLE feature_store_audit.spam_seen (
    refresh_id bigint NOT NULL
    REFERENCES feature_store_audit.refresh (refresh_id) ON DELETE CASCADE,
    listing_id bigint NOT NULL,
    PRIMARY KEY (refresh_id, listing_id)
);
COMMENT ON TABLE feature_store_audit.spam_seen IS
'The listings that carried a spam token when E-clean was last refreshed, as that refresh saw them.';
