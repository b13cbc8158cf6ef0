-- Specification: each unflagged row that has been sold, with storage and a price: the day of the sale,
--                and the real price paid or else the other one
-- Relation:      ml.sold_prices_v1_mv (D3)
-- Key:           none
-- Route:         Rows that know the real price, and after them those that know only the other.
SELECT
    l.generation,
    l.storage_gb,
    date_trunc('day', l.sold_date)::date AS sold_day,
    l.real_sold_price AS sold_price
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND NOT (l.sold_date IS NULL OR l.storage_gb IS NULL OR l.real_sold_price IS NULL)
UNION ALL
SELECT
    l.generation,
    l.storage_gb,
    date_trunc('day', l.sold_date)::date AS sold_day,
    l.sold_price
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND l.real_sold_price IS NULL
    AND NOT (l.sold_date IS NULL OR l.storage_gb IS NULL OR l.sold_price IS NULL)
