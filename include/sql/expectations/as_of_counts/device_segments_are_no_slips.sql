-- Expectation: few segments with a single listing: a mistyped generation costs F2 22 rows for every
--              day of its past
-- Relation:    feature_store.device_count_day_v1_mv
-- Severity:    warning
WITH single AS (
    SELECT
        c.gen_key,
        c.model_variant,
        min(c.t0_day) AS first_day,
        count(*) OVER () AS singles
    FROM feature_store.device_count_day_v1_mv AS c
    WHERE c.gen_key IS NOT NULL
    GROUP BY c.gen_key, c.model_variant
    HAVING sum(c.n) = 1
)

SELECT
    s.gen_key,
    s.model_variant,
    s.first_day,
    s.singles
FROM single AS s
WHERE s.singles > :most_single_listing_segments
ORDER BY s.first_day DESC, s.gen_key ASC, s.model_variant ASC;
