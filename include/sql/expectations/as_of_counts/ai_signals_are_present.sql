-- Expectation: AI signals of every kind are present
-- Relation:    ml.tom_features_v1_enriched_ai_clean_mv
-- Severity:    warning
-- Only zeros look like values, but mean that the AI table was not filled or not joined.
WITH signal AS (
    SELECT
        count(*) AS rows_in_all,
        count(*) FILTER (WHERE e.ai_sale_mode_firm = 1 OR e.ai_sale_mode_obo = 1) AS sale_mode,
        count(*) FILTER (WHERE e.ai_can_ship_bin = 1 OR e.ai_pickup_only_bin = 1) AS shipping,
        count(*) FILTER (WHERE e.ai_negotiability_f > 0) AS negotiability
    FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
),

kind AS (
    SELECT
        'sale mode' AS kind,
        s.sale_mode AS rows_with_signal,
        s.rows_in_all
    FROM signal AS s
    UNION ALL
    SELECT
        'shipping' AS kind,
        s.shipping AS rows_with_signal,
        s.rows_in_all
    FROM signal AS s
    UNION ALL
    SELECT
        'negotiability' AS kind,
        s.negotiability AS rows_with_signal,
        s.rows_in_all
    FROM signal AS s
)

SELECT
    k.kind,
    k.rows_with_signal,
    k.rows_in_all
FROM kind AS k
WHERE k.rows_with_signal < :least_ai_signal_share * k.rows_in_all
ORDER BY k.kind;
