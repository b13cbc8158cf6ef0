-- Guard:    no more than most_anchor_cohorts (include/thresholds.toml) pairs of a day and a cohort to
--           look at
-- Mend:     correct the impossible generations and storages, or flag the listings as spam. If the
--           store has really grown, raise the number.
WITH cohort AS (
    SELECT
        c.generation,
        c.sbucket,
        count(*) AS listings,
        count(DISTINCT c.ptv_bucket) AS cohorts
    FROM ml.tom_speed_cohort_v1 AS c
    GROUP BY c.generation, c.sbucket
),

looked_at AS (
    SELECT
        (
            SELECT count(DISTINCT e.edited_date::date) FROM ml.tom_features_v1_enriched_mv AS e
        ) AS days,
        (SELECT sum(c.cohorts) FROM cohort AS c) AS cohorts
)

SELECT
    c.generation,
    c.sbucket,
    c.listings,
    l.days * l.cohorts AS pairs,
    l.days,
    l.cohorts
FROM cohort AS c
CROSS JOIN looked_at AS l
WHERE l.days * l.cohorts > :most_anchor_cohorts
ORDER BY c.listings ASC, c.generation ASC, c.sbucket ASC;
