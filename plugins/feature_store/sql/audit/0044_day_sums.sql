-- Rows that were written anew are compared by the sums of their hashes.
COMMENT ON COLUMN feature_store_audit.history_layer.seen IS
'What days without news are known by: the states of the views under the layer, the sum of the rows'' hashes of each day, and a digest of the days.';
