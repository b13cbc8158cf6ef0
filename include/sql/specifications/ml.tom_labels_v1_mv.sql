-- Specification: each listing of A with its first sale, the last time it was seen, and the hours from
--                t0 to the sale, or to that last time if unsold: 0 if that came before t0 or is not known
-- Relation:      ml.tom_labels_v1_mv (B)
-- Key:           listing_id
-- Route:         Sorts sales and sightings and takes the first and the last; computes hours from
--                days, hours, minutes and seconds.
WITH first_sale AS (
    SELECT DISTINCT ON (l.listing_id)
        l.listing_id,
        l.sold_date
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL AND l.sold_date IS NOT NULL
    ORDER BY l.listing_id, l.sold_date
),

last_sight AS (
    SELECT DISTINCT ON (l.listing_id)
        l.listing_id,
        l.last_seen
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL AND l.last_seen IS NOT NULL
    ORDER BY l.listing_id ASC, l.last_seen DESC
),

ended AS (
    SELECT
        f.listing_id,
        f.edited_date,
        s.sold_date,
        v.last_seen,
        CASE WHEN s.listing_id IS NULL THEN v.last_seen ELSE s.sold_date END - f.edited_date AS took
    FROM ml.tom_features_v1_mv AS f
    LEFT JOIN first_sale AS s ON f.listing_id = s.listing_id
    LEFT JOIN last_sight AS v ON f.listing_id = v.listing_id
)

SELECT
    e.listing_id,
    e.edited_date,
    e.sold_date,
    e.last_seen,
    num_nonnulls(e.sold_date) = 1 AS sold_event,
    CASE
        WHEN e.took > interval '0'
            THEN (
                86400 * extract(DAY FROM e.took) + 3600 * extract(HOUR FROM e.took)
                + 60 * extract(MINUTE FROM e.took) + extract(SECOND FROM e.took)
            ) / 3600
        ELSE 0
    END AS duration_hours
FROM ended AS e
