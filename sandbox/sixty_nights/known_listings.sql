-- The listings as they are known at the moment of life.clock: later versions, sales, flags and scores are not there yet.
INSERT INTO "iPhone".iphone_listings
SELECT
    l.listing_id,
    l.generation,
    l.model,
    l.storage_gb,
    l.storage_gb_raw,
    l.storage,
    l.price,
    CASE WHEN coalesce(l.damage_ai_at, l.scraped_at) <= t.moment THEN l.condition_score END AS condition_score,
    CASE WHEN l.battery_pct_fixed_at <= t.moment THEN l.battery_pct_fixed_ai END AS battery_pct_fixed_ai,
    CASE WHEN l.battery_pct_fixed_at <= t.moment THEN l.battery_pct_fixed_at END AS battery_pct_fixed_at,
    CASE WHEN l.damage_ai_at <= t.moment THEN l.damage_severity_ai END AS damage_severity_ai,
    CASE WHEN l.damage_ai_at <= t.moment THEN l.damage_binary_ai END AS damage_binary_ai,
    CASE WHEN l.damage_ai_at <= t.moment THEN l.damage_ai_at END AS damage_ai_at,
    l.quality_ai_version,
    -- In one of five, the rating moves with the reviews that come.
    CASE
        WHEN l.rescraped_at > t.moment AND life.draw(l.listing_id, 7) < 0.2 THEN greatest(l.seller_rating - 0.3, 0)
        ELSE l.seller_rating
    END AS seller_rating,
    CASE
        WHEN l.rescraped_at > t.moment AND life.draw(l.listing_id, 7) < 0.2 THEN greatest(l.review_count - 2, 0)
        ELSE l.review_count
    END AS review_count,
    l.member_since_year,
    l.seller_stats_fetched,
    l.location_city,
    l.postal_code,
    l.title,
    l.description,
    l.url,
    CASE WHEN l.sale_known_at <= t.moment THEN l.status ELSE 'active' END AS status,
    CASE WHEN l.flagged_at <= t.moment THEN l.spam END AS spam,
    l.edited_date,
    CASE WHEN l.last_seen IS NOT NULL THEN least(l.last_seen, t.moment) END AS last_seen,
    CASE WHEN l.sale_known_at <= t.moment THEN l.sold_date END AS sold_date,
    CASE WHEN l.sale_known_at <= t.moment THEN l.sold_price END AS sold_price,
    CASE
        WHEN l.sale_known_at + life.draw(l.listing_id, 8) * interval '3 days' <= t.moment THEN l.real_sold_price
    END AS real_sold_price
FROM life.listings AS l
CROSS JOIN life.clock AS t
WHERE l.scraped_at <= t.moment
