-- Specification: each unflagged listing as it stood under its earliest date
-- Relation:      ml.tom_features_v1_mv (A)
-- Key:           listing_id
-- Route:         No sorting: a row is a listing's first if no other row of its earliest date comes
--                before it. Rows are compared as a whole, NULL last; of several prices the highest
--                comes first. Of rows alike in all of that, any.
WITH candidate AS (
    SELECT
        l.*,
        row(
            l.generation, l.model COLLATE "C", l.storage_gb, -l.price::numeric, l.condition_score,
            l.battery_pct_fixed_ai, l.damage_severity_ai, l.damage_binary_ai, l.seller_rating,
            l.review_count, l.member_since_year, l.location_city COLLATE "C",
            l.postal_code COLLATE "C", l.title COLLATE "C", l.description COLLATE "C",
            row_number() OVER ()
        ) AS place
    FROM "iPhone".iphone_listings AS l
    WHERE
        l.spam IS NULL
        AND (l.listing_id, coalesce(l.edited_date, 'infinity')) IN (
            SELECT
                e.listing_id,
                min(coalesce(e.edited_date, 'infinity')) AS moment
            FROM "iPhone".iphone_listings AS e
            WHERE e.spam IS NULL
            GROUP BY e.listing_id
        )
)

SELECT
    c.listing_id,
    c.edited_date,
    c.generation,
    c.model,
    c.storage_gb,
    c.price,
    c.condition_score,
    c.battery_pct_fixed_ai,
    c.damage_severity_ai,
    c.damage_binary_ai,
    c.seller_rating,
    c.review_count,
    c.member_since_year,
    c.location_city,
    c.postal_code,
    c.title,
    c.description,
    coalesce(length(c.title), 0) AS title_length,
    coalesce(length(c.description), 0) AS description_length
FROM candidate AS c
WHERE
    NOT EXISTS (
        SELECT FROM candidate AS o
        WHERE o.listing_id = c.listing_id AND o.place < c.place
    )
