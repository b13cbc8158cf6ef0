-- Witness of ml.tom_features_v1_mv (A): the newest day of the sources' listings, which the page and
-- store_freshness show. Listings with a later moment (from a wrong clock) do not count.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings of the newest day' AS fact,
    count(*) AS n,
    jsonb_build_array(jsonb_build_object('day', max(a.edited_date::date))) AS sample
FROM ml.tom_features_v1_mv AS a
WHERE
    a.edited_date::date = (
        SELECT max(n.edited_date::date) FROM ml.tom_features_v1_mv AS n
        WHERE n.edited_date <= transaction_timestamp() AND isfinite(n.edited_date)
    )
    AND a.edited_date <= transaction_timestamp();
