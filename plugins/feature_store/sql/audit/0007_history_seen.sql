-- What the latest judgement saw of each layer, so that rows which are the same need no second look.
ALTER TABLE feature_store_audit.history_layer
ADD COLUMN seen jsonb;
COMMENT ON COLUMN feature_store_audit.history_layer.seen IS
'The states of the materialized views under the layer when its days were last fingerprinted, with a digest of the days. NULL if it could not be told.';
