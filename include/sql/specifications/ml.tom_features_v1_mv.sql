-- Specification: each unflagged listing as it was at its earliest date
-- Relation:      ml.tom_features_v1_mv (A)
-- Key:           listing_id
-- Route:         No sorting: a row is a listing's first if no other row of its earliest date comes
--                before it. Whole rows are compared, NULL last (as in records), the highest price
--                first. Of rows that are alike in all of that, one is kept.
SELECT DISTINCT
    l.listing_id,
    l.edited_date,
    l.generation,
    l.model,
    l.storage_gb,
    l.price,
    l.condition_score,
    l.battery_pct_fixed_ai,
    l.damage_severity_ai,
    l.damage_binary_ai,
    l.seller_rating,
    l.review_count,
    l.member_since_year,
    l.location_city,
    l.postal_code,
    l.title,
    l.description,
    coalesce(length(l.title), 0) AS title_length,
    coalesce(length(l.description), 0) AS description_length
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
    AND NOT EXISTS (
        SELECT FROM "iPhone".iphone_listings AS o
        WHERE
            o.spam IS NULL
            AND o.listing_id = l.listing_id
            AND coalesce(o.edited_date, 'infinity') = coalesce(l.edited_date, 'infinity')
            -- Byte by byte: "C" is a collation, and no column.
            -- noqa: disable=RF02
            AND row(
                o.generation, o.model COLLATE "C", o.storage_gb, -o.price::numeric,
                o.condition_score, o.battery_pct_fixed_ai, o.damage_severity_ai,
                o.damage_binary_ai, o.seller_rating, o.review_count, o.member_since_year,
                o.location_city COLLATE "C", o.postal_code COLLATE "C", o.title COLLATE "C",
                o.description COLLATE "C"
            )::record
            < row(
                l.generation, l.model COLLATE "C", l.storage_gb, -l.price::numeric,
                l.condition_score, l.battery_pct_fixed_ai, l.damage_severity_ai,
                l.damage_binary_ai, l.seller_rating, l.review_count, l.member_since_year,
                l.location_city COLLATE "C", l.postal_code COLLATE "C", l.title COLLATE "C",
                l.description COLLATE "C"
            )::record
    )
