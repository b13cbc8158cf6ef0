-- History:    D1 by cohort, sales with the cohort in which E saw the listing at its t0: what D4 reads
-- Role:       link, between E and D4: it keeps what D4 reads of E apart from the rest of E
-- Relation:   ml.sold_durations_v1_mv
-- Day:        the day of the sale
-- Key:        none, several equal rows are legal
-- Depends:    D1 0; E ..0
SELECT
    s.sold_day AS day,
    s.listing_id,
    c.generation,
    c.sbucket,
    c.ptv_bucket,
    s.duration_hours
FROM ml.sold_durations_v1_mv AS s
INNER JOIN ml.tom_speed_cohort_v1 AS c ON s.listing_id = c.listing_id
