-- The registry of feature sets in a store's other governed schemas: views of the one registry, so that a
-- set is found in any schema. What is written into the views is written into the registry. Each schema has
-- its own active set. For the store of include/:
--   sed -e 's/:"schema"/feature_store/g' -e 's/:"registry"/ml/g' registry_shown.sql | psql
CREATE VIEW :"schema".feature_set AS
SELECT
    s.set_id,
    s.name,
    s.features_hash,
    s.n_features,
    s.created_at,
    s.author,
    s.notes
FROM :"registry".feature_set AS s;
COMMENT ON VIEW :"schema".feature_set IS
'One row per feature set: those of :"registry".feature_set.';
COMMENT ON COLUMN :"schema".feature_set.set_id IS
'Number of the set.';
COMMENT ON COLUMN :"schema".feature_set.name IS
'Name of the set.';
COMMENT ON COLUMN :"schema".feature_set.features_hash IS
'SHA-256, in hex, of the set''s contract rows as they were stamped.';
COMMENT ON COLUMN :"schema".feature_set.n_features IS
'Number of contract rows as they were stamped.';
COMMENT ON COLUMN :"schema".feature_set.created_at IS
'When the set was first stamped.';
COMMENT ON COLUMN :"schema".feature_set.author IS
'Who stamped it first.';
COMMENT ON COLUMN :"schema".feature_set.notes IS
'A person''s notes about the set.';

CREATE VIEW :"schema".feature_contract AS
SELECT
    c.set_id,
    c.ordinal,
    c.feature_name,
    c.dtype,
    c.expr_sql,
    c.leakage_rule,
    c.window_def,
    c.is_nullable,
    c.description
FROM :"registry".feature_contract AS c;
COMMENT ON VIEW :"schema".feature_contract IS
'The contract, one row per feature: those of :"registry".feature_contract.';
COMMENT ON COLUMN :"schema".feature_contract.set_id IS
'Number of the set.';
COMMENT ON COLUMN :"schema".feature_contract.ordinal IS
'Place of the feature in the set.';
COMMENT ON COLUMN :"schema".feature_contract.feature_name IS
'Name of the feature, and of its column.';
COMMENT ON COLUMN :"schema".feature_contract.dtype IS
'int or int4 or int8, numeric, float8, text: the family that the live column must have.';
COMMENT ON COLUMN :"schema".feature_contract.expr_sql IS
'What gives the feature.';
COMMENT ON COLUMN :"schema".feature_contract.leakage_rule IS
'How the feature is kept from seeing the future. The column''s own comment says if that is not true.';
COMMENT ON COLUMN :"schema".feature_contract.window_def IS
'Window that the feature looks at, in words.';
COMMENT ON COLUMN :"schema".feature_contract.is_nullable IS
'Whether the feature may be NULL.';
COMMENT ON COLUMN :"schema".feature_contract.description IS
'What the feature is, in words.';

CREATE VIEW :"schema".feature_set_binding AS
SELECT
    b.set_id,
    b.relation_name,
    b.other_columns,
    b.integer_columns
FROM :"registry".feature_set_binding AS b;
COMMENT ON VIEW :"schema".feature_set_binding IS
'The live relation that carries each feature set: as in :"registry".feature_set_binding.';
COMMENT ON COLUMN :"schema".feature_set_binding.set_id IS
'Number of the set.';
COMMENT ON COLUMN :"schema".feature_set_binding.relation_name IS
'The relation, schema-qualified.';
COMMENT ON COLUMN :"schema".feature_set_binding.other_columns IS
'Columns of the relation that are not features. Any other column breaks the contract.';
COMMENT ON COLUMN :"schema".feature_set_binding.integer_columns IS
'Features of dtype numeric whose live column may also be an integer.';

CREATE TABLE :"schema".feature_set_current (
    singleton_id boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton_id),
    set_id bigint NOT NULL REFERENCES :"registry".feature_set (set_id)
);
COMMENT ON TABLE :"schema".feature_set_current IS
'The active feature set of this schema: one row.';
