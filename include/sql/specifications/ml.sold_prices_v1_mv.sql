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
    num_nonnulls(l.spam) = 0
    AND num_nonnulls(l.sold_date, l.storage_gb, l.real_sold_price) = 3
UNION ALL
SELECT
    l.generation,
    l.storage_gb,
    date_trunc('day', l.sold_date)::date AS sold_day,
    l.sold_price
FROM "iPhone".iphone_listings AS l
WHERE
    num_nonnulls(l.spam, l.real_sold_price) = 0
    AND num_nonnulls(l.sold_date, l.storage_gb, l.sold_price) = 3
