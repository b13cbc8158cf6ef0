-- The record becomes append-only for the role that refreshes. What it writes goes into logs (…_log):
-- it may add rows to them and change none. The views of the old names say what holds now. What must
-- change or go (the lease, the baseline of history, old rows) passes through the functions below.
--
-- What a column's default gives comes from the server: include/roles.sql grants INSERT on the other
-- columns alone. event numbers all that is recorded: of two rows the one with the higher number was
-- written later, whatever the clock said.
CREATE SEQUENCE feature_store_audit.event AS bigint;
SELECT setval(
    'feature_store_audit.event',
    greatest(
        (SELECT coalesce(max(r.refresh_id), 0) FROM feature_store_audit.refresh AS r),
        (SELECT coalesce(max(f.finding_id), 0) FROM feature_store_audit.history_finding AS f)
    ) + 1
);

-- Which file each step was applied from, so that an edited one is noticed.
ALTER TABLE feature_store_audit.migration ADD COLUMN digest text;
COMMENT ON COLUMN feature_store_audit.migration.digest IS
'SHA-256 of the step''s file as it was applied.';

-- Refreshes.
ALTER TABLE feature_store_audit.refresh ALTER COLUMN refresh_id DROP IDENTITY;
ALTER TABLE feature_store_audit.refresh
ALTER COLUMN refresh_id SET DEFAULT nextval('feature_store_audit.event'),
ALTER COLUMN snapshot SET DEFAULT pg_current_snapshot(),
ALTER COLUMN started_at SET DEFAULT transaction_timestamp(),
ALTER COLUMN finished_at SET DEFAULT clock_timestamp();
ALTER TABLE feature_store_audit.fact ALTER COLUMN sample DROP DEFAULT;

ALTER TABLE feature_store_audit.spam_seen RENAME TO spam_seen_log;
COMMENT ON TABLE feature_store_audit.spam_seen_log IS
'The listings that carried a spam token when E-clean was refreshed, as that refresh saw them. Those of earlier refreshes go at the end of the next run.';
CREATE VIEW feature_store_audit.spam_seen AS
SELECT
    s.refresh_id,
    s.listing_id
FROM feature_store_audit.spam_seen_log AS s
INNER JOIN feature_store_audit.latest_refresh AS l ON s.refresh_id = l.refresh_id;
COMMENT ON VIEW feature_store_audit.spam_seen IS
'The listings that carried a spam token when E-clean was last refreshed, as that refresh saw them.';

CREATE FUNCTION feature_store_audit.latest_refreshes() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
SELECT coalesce(jsonb_object_agg(l.relation, l.refresh_id), '{}')
FROM feature_store_audit.latest_refresh AS l
$function$;
COMMENT ON FUNCTION feature_store_audit.latest_refreshes() IS
'The latest refresh of each relation, by its name.';
