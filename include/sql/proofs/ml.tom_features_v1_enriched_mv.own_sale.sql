-- Proof:      how many listings have a sale of their own inside their own anchors: information
-- Relation:   ml.tom_features_v1_enriched_mv (E)
-- Rule:       none, unless a listing was sold on a day before its t0 day. Counted per window: 14
--             days of hours, 30 days of prices, 90 days of speed. D3 names no listing, so D1 stands
--             for the prices: a sale without a price counts too.
-- Severity:   information
-- Route:      each listing's own sales, found by listing_id, which E itself never does.
WITH own AS (
    SELECT
        e.listing_id,
        e.edited_date,
        min(s.sold_day) AS first_sold_day,
        max(s.sold_day) AS last_sold_day,
        count(*) FILTER (
            WHERE s.generation = e.generation
            AND s.storage_gb = e.storage_gb
            AND s.sold_day >= e.edited_date::date - 14
        ) AS in_hours_14d,
        count(*) FILTER (
            WHERE s.generation = e.generation
            AND s.storage_gb = e.storage_gb
            AND s.sold_day >= e.edited_date::date - 30
        ) AS in_prices_30d,
        count(*) FILTER (
            WHERE c.listing_id IS NOT NULL
            AND s.sold_day >= e.edited_date::date - 90
        ) AS in_speed_90d
    FROM ml.tom_features_v1_enriched_mv AS e
    INNER JOIN ml.sold_durations_v1_mv AS s
        ON e.listing_id = s.listing_id AND s.sold_day < e.edited_date::date
    LEFT JOIN ml.tom_speed_cohort_v1 AS c ON e.listing_id = c.listing_id
    GROUP BY e.listing_id, e.edited_date
),

inside AS MATERIALIZED (
    SELECT * FROM own AS o
    WHERE o.in_prices_30d + o.in_speed_90d > 0
),

sample AS (
    SELECT * FROM inside AS i
    ORDER BY i.listing_id
    LIMIT 20
)

SELECT
    (SELECT count(*) FROM ml.tom_features_v1_enriched_mv) AS compared,
    (SELECT count(*) FROM inside) AS broken,
    coalesce(
        jsonb_agg(
            jsonb_build_object(
                'key', jsonb_build_object('listing_id', s.listing_id),
                'observed', jsonb_build_object(
                    'edited_date', s.edited_date,
                    'first_sold_day', s.first_sold_day,
                    'last_sold_day', s.last_sold_day,
                    'in_hours_14d', s.in_hours_14d,
                    'in_prices_30d', s.in_prices_30d,
                    'in_speed_90d', s.in_speed_90d
                ),
                'expected', jsonb_build_object(
                    'in_hours_14d', 0,
                    'in_prices_30d', 0,
                    'in_speed_90d', 0
                )
            )
            ORDER BY s.listing_id
        ),
        '[]'
    ) AS sample
FROM sample AS s;
