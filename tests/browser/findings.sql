-- Two reviews and a leak, found by the latest run and open.
INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, rows_came, rows_went,
    rows_changed, changed_columns, details, dag_id, run_id, latest_dag_id, latest_run_id)
SELECT f.kind, f.layer, f.relation, (now() - make_interval(days => f.days))::date, f.came, 0, f.changed,
    f.columns, '', r.dag_id, r.run_id, r.dag_id, r.run_id
FROM (VALUES
    ('review', 'D3', 'ml.sold_prices_v1_mv', 96, 14, 2, ARRAY['sold_price']),
    ('review', 'A', 'ml.tom_features_v1_mv', 95, 0, 31, ARRAY['price', 'battery_pct_fixed']),
    ('leak', 'E', 'ml.tom_features_v1_enriched_mv', 44, 0, 212, ARRAY['anchor_30d_t0'])
) AS f (kind, layer, relation, days, came, changed, columns)
CROSS JOIN (SELECT * FROM feature_store_audit.run ORDER BY prepared_at DESC LIMIT 1) AS r;
