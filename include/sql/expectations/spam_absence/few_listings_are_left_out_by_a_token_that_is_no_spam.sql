-- Expectation: few listings left out because each of their rows has a token that is no spam
-- Relation:    ml.tom_features_v1_mv
-- Severity:    warning
-- A takes only rows whose spam is NULL. A loader that writes '' for an empty field loses all rows.
WITH left_out AS (
    SELECT
        quote_literal(token ->> 'token') AS token,
        (token ->> 'listings')::bigint AS listings_left_out,
        (token ->> 'source_rows')::bigint AS source_rows,
        (token ->> 'listings_kept')::bigint AS listings_kept
    FROM feature_store_audit.latest_refresh AS r
    INNER JOIN feature_store_audit.fact AS f ON r.refresh_id = f.refresh_id
    CROSS JOIN jsonb_array_elements(f.sample) AS token
    WHERE
        r.relation = 'ml.tom_features_v1_enriched_clean_mv'
        AND f.fact = 'listings left out by a token that is no spam'
)

SELECT
    o.token,
    o.listings_left_out,
    o.source_rows,
    o.listings_kept
FROM left_out AS o
WHERE o.listings_left_out > :most_listings_left_out * (o.listings_left_out + o.listings_kept)
ORDER BY o.listings_left_out DESC;
