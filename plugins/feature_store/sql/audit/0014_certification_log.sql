-- What a run used without refreshing it.
ALTER TABLE feature_store_audit.reuse RENAME TO reuse_log;
ALTER TABLE feature_store_audit.reuse_log
DROP CONSTRAINT reuse_pkey,
ADD COLUMN event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event');
CREATE INDEX reuse_log_run_idx ON feature_store_audit.reuse_log (dag_id, run_id, relation, event_id);
COMMENT ON TABLE feature_store_audit.reuse_log IS
'A row each time a run found a relation to be as an earlier refresh left it, and did not refresh it again.';
CREATE VIEW feature_store_audit.reuse AS
SELECT DISTINCT ON (u.dag_id, u.run_id, u.relation)
    u.dag_id,
    u.run_id,
    u.relation,
    u.refresh_id,
    u.reason,
    u.reused_at,
    u.event_id
FROM feature_store_audit.reuse_log AS u
ORDER BY u.dag_id ASC, u.run_id ASC, u.relation ASC, u.event_id DESC;
COMMENT ON VIEW feature_store_audit.reuse IS
'The relations that a run used as an earlier refresh left them. Counts only while that refresh is the relation''s latest.';

-- Certifications, and those that were withdrawn.
ALTER TABLE feature_store_audit.certified RENAME TO certification_log;
ALTER TABLE feature_store_audit.certification_log
DROP CONSTRAINT certified_pkey,
ADD COLUMN event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event');
CREATE INDEX certification_log_relation_idx
ON feature_store_audit.certification_log (relation, event_id);
CREATE INDEX certification_log_refresh_idx ON feature_store_audit.certification_log (refresh_id);
COMMENT ON TABLE feature_store_audit.certification_log IS
'What certify has certified: a row for each relation and run. Nothing else writes it.';
CREATE TABLE feature_store_audit.withdrawal_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    certification_event bigint NOT NULL UNIQUE
    REFERENCES feature_store_audit.certification_log (event_id) ON DELETE CASCADE,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    withdrawn_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
COMMENT ON TABLE feature_store_audit.withdrawal_log IS
'Certifications that were taken back, and the run that found the very rows broken. withdraw_broken writes it.';
INSERT INTO feature_store_audit.withdrawal_log (certification_event, dag_id, run_id)
SELECT
    c.event_id,
    c.dag_id,
    c.withdrawn_by
FROM feature_store_audit.certification_log AS c
WHERE c.withdrawn_by IS NOT NULL;
ALTER TABLE feature_store_audit.certification_log DROP COLUMN withdrawn_by;
CREATE VIEW feature_store_audit.certified AS
SELECT
    c.relation,
    c.refresh_id,
    c.file_node,
    c.dag_id,
    c.run_id,
    c.as_of_day,
    c.certified_at,
    w.run_id AS withdrawn_by,
    c.version,
    c.event_id
FROM (
    SELECT DISTINCT ON (l.relation) l.*
    FROM feature_store_audit.certification_log AS l
    ORDER BY l.relation ASC, l.event_id DESC
) AS c
LEFT JOIN feature_store_audit.withdrawal_log AS w ON c.event_id = w.certification_event;
COMMENT ON VIEW feature_store_audit.certified IS
'The refresh of each relation that a whole run proved last. A newer refresh of it is not proven yet: require_certified raises.';
COMMENT ON COLUMN feature_store_audit.certified.withdrawn_by IS
'The run that found the very rows broken later; NULL while they are held to be good.';

-- What each feature is made of: a row for a set whenever it is not what it was.
CREATE TABLE feature_store_audit.lineage_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    feature_set text NOT NULL,
    lineages jsonb NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    traced_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX lineage_log_set_idx ON feature_store_audit.lineage_log (feature_set, event_id);
COMMENT ON TABLE feature_store_audit.lineage_log IS
'The columns that each feature of a set is made of, by its name, and the first run that found it so.';
INSERT INTO feature_store_audit.lineage_log (feature_set, lineages, dag_id, run_id, traced_at)
SELECT
    f.feature_set,
    jsonb_object_agg(f.feature, f.lineage) AS lineages,
    max(f.dag_id) AS dag_id,
    max(f.run_id) AS run_id,
    max(f.traced_at) AS traced_at
FROM feature_store_audit.feature_lineage AS f
GROUP BY f.feature_set;
DROP TABLE feature_store_audit.feature_lineage;
CREATE VIEW feature_store_audit.feature_lineage AS
SELECT
    l.feature_set,
    f.key AS feature,
    f.value AS lineage,
    l.dag_id,
    l.run_id,
    l.traced_at
FROM (
    SELECT DISTINCT ON (g.feature_set) g.*
    FROM feature_store_audit.lineage_log AS g
    ORDER BY g.feature_set ASC, g.event_id DESC
) AS l
CROSS JOIN LATERAL jsonb_each(l.lineages) AS f;
COMMENT ON VIEW feature_store_audit.feature_lineage IS
'The columns that each feature''s value is made of, by the server''s stored queries, and the first run that found it so.';
COMMENT ON COLUMN feature_store_audit.feature_lineage.lineage IS
'columns: the feature itself first. edges: places in columns, from what is read to what is made of it. decided_by: what decides whose values are taken.';
