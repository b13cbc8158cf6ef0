-- Witness of ml.tom_features_v1_enriched_mv (E): how many listings have their own sale in their own
-- anchors. That takes a sale on a day before the listing's t0 day. Sources have such sales, and the
-- documents' rule keeps them, so they are counted here and shown in the report. D3 has no listing_id, so
-- D1 is used for the prices, too: it also counts sales without a price.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH own AS (
    SELECT
        e.listing_id,
        e.edited_date,
        max(s.sold_day) AS last_sold_day
    FROM ml.tom_features_v1_enriched_mv AS e
    INNER JOIN ml.sold_durations_v1_mv AS s
        ON
            e.listing_id = s.listing_id
            AND e.generation = s.generation
            AND e.storage_gb = s.storage_gb
            AND e.edited_date::date > s.sold_day
            AND e.edited_date::date - 30 <= s.sold_day
    GROUP BY e.listing_id, e.edited_date
),

example AS (
    SELECT to_jsonb(o) AS example
    FROM own AS o
    ORDER BY o.listing_id
    LIMIT 20
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings with a sale of their own inside their own anchors' AS fact,
    (SELECT count(*) FROM own) AS n,
    coalesce((SELECT jsonb_agg(x.example) FROM example AS x), '[]') AS sample;
