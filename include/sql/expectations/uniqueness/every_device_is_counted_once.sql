-- Expectation: as many listings counted on each day as F0 has, with and without a generation
-- Relation:    feature_store.device_count_day_v1_mv
-- Severity:    critical
-- Two image rows of a listing would count it twice. A device has a gen_key if the listing or its images
-- name a generation. Images are joined by generation, so only listings without one have no gen_key.
WITH counted AS (
    SELECT
        d.t0_day,
        d.gen_key IS NULL AS has_no_generation,
        sum(d.n) AS n
    FROM feature_store.device_count_day_v1_mv AS d
    GROUP BY d.t0_day, d.gen_key IS NULL
),

listed AS (
    SELECT
        f.edited_date::date AS t0_day,
        f.generation IS NULL AS has_no_generation,
        count(*) AS n
    FROM feature_store.listing_device_features_clean_mv AS f
    GROUP BY f.edited_date::date, f.generation IS NULL
)

SELECT
    coalesce(c.t0_day, l.t0_day) AS t0_day,
    c.n AS counted,
    l.n AS listed
FROM counted AS c
FULL OUTER JOIN listed AS l
    ON
        -- No special value stands for "no day": a source may well have infinite days.
        coalesce(c.t0_day, '-infinity') = coalesce(l.t0_day, '-infinity')
        AND (c.t0_day IS NULL) = (l.t0_day IS NULL)
        AND c.has_no_generation = l.has_no_generation
WHERE c.n IS DISTINCT FROM l.n
ORDER BY t0_day;
