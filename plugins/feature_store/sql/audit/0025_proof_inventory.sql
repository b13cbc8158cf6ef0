-- The inventory of proofs: what a person has stamped, and every run must find again.
CREATE TABLE feature_store_audit.proof_inventory_log (
    event_id bigint PRIMARY KEY DEFAULT nextval('feature_store_audit.event'),
    proofs jsonb NOT NULL CHECK (jsonb_typeof(proofs) = 'array' AND proofs <> '[]'),
    stamped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stamped_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE feature_store_audit.proof_inventory_log IS
'Each stamp of the proofs, by a person: specifications, expectations, observations, rules, thresholds, exceptions, sources and contracts.';
COMMENT ON COLUMN feature_store_audit.proof_inventory_log.proofs IS
'Of each proof its file, which part of it, a digest, and what people compare (a severity, a number).';

CREATE VIEW feature_store_audit.proof_inventory AS
SELECT
    l.proofs,
    l.stamped_at,
    l.stamped_by,
    l.event_id
FROM feature_store_audit.proof_inventory_log AS l
ORDER BY l.event_id DESC
LIMIT 1;
COMMENT ON VIEW feature_store_audit.proof_inventory IS
'The proofs as they were stamped last; no row before the first stamp. A run whose files differ is not certified.';
