-- A leak, found by the latest run and open.
INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, rows_came, rows_went,
    rows_changed, changed_columns, details, dag_id, run_id, latest_dag_id, latest_run_id)
SELECT 'leak', 'E', 'ml.tom_features_v1_enriched_mv', (now() - interval '44 days')::date, 0, 0, 212,
    ARRAY['anchor_30d_t0'], '', r.dag_id, r.run_id, r.dag_id, r.run_id
FROM (SELECT * FROM feature_store_audit.run ORDER BY prepared_at DESC LIMIT 1) AS r;
