-- Expectation: sources have NULL, not NaN, for a missing value
-- Relation:    ml.tom_features_v1_enriched_ai_clean_mv
-- Severity:    warning
-- pandas writes NaN. It is above all numbers, so a clipped AI score becomes 1; any other value stays
-- NaN. The counts of rows without a value include NaN.
SELECT
    r.relation,
    nan ->> 'feature' AS feature,
    (nan ->> 'source_rows')::bigint AS source_rows
FROM feature_store_audit.latest_refresh AS r
INNER JOIN feature_store_audit.fact AS f ON r.refresh_id = f.refresh_id
CROSS JOIN jsonb_array_elements(f.sample) AS nan
WHERE f.fact = 'values that are NaN in the source'
UNION ALL
SELECT
    'ml.tom_features_v1_enriched_ai_clean_mv' AS relation,
    n.feature,
    count(*) AS source_rows
FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
CROSS JOIN
    LATERAL (
        VALUES
        ('condition_score', e.condition_score::numeric),
        ('battery_pct_fixed_ai', e.battery_pct_fixed_ai::numeric),
        ('seller_rating', e.seller_rating::numeric)
    ) AS n (feature, given)
WHERE n.given = 'NaN'
GROUP BY n.feature
ORDER BY source_rows DESC;
