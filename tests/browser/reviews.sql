-- Two reviews of old days, found by the latest run and open; a changed row shows its old and new values.
INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, rows_came, rows_went,
    rows_changed, changed_columns, examples, reaches, details, dag_id, run_id, latest_dag_id, latest_run_id)
SELECT 'review', f.layer, f.relation, (now() - make_interval(days => f.days))::date, f.came, 0, f.changed,
    f.columns, f.examples, jsonb_build_array(jsonb_build_object('output', f.output, 'first',
    (now() - make_interval(days => f.days))::date, 'last', NULL, 'moved', f.moved)), '',
    r.dag_id, r.run_id, r.dag_id, r.run_id
FROM (VALUES
    ('D3', 'ml.sold_prices_v1_mv', 96, 2, 0, ARRAY[]::text[],
        '[{"row": "came", "listing_id": 300001187}, {"row": "came", "listing_id": 300001204}]'::json, 'E', 30),
    ('A', 'ml.tom_features_v1_mv', 95, 0, 1, ARRAY['price'],
        '[{"row": "changed", "listing_id": 300001216, "change": "price 6200 → 5900"}]', 'E', 1)
) AS f (layer, relation, days, came, changed, columns, examples, output, moved)
CROSS JOIN (SELECT * FROM feature_store_audit.run ORDER BY prepared_at DESC LIMIT 1) AS r;
