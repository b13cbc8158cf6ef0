-- What the AI has read until the moment of life.clock: before it read a text for the second time, three in ten answers are
-- the first prompt's, which told less.
INSERT INTO "iPhone".iphone_ai_enrich
SELECT
    a.listing_id,
    CASE WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment OR life.draw(a.listing_id, 11) > 0.3 THEN a.sale_mode END AS sale_mode,
    CASE WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment OR life.draw(a.listing_id, 12) > 0.3 THEN a.owner_type END AS owner_type,
    a.can_ship,
    a.pickup_only,
    a.vat_invoice,
    CASE WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment OR life.draw(a.listing_id, 13) > 0.3 THEN a.first_owner END AS first_owner,
    a.used_with_case_claim,
    CASE
        WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment OR life.draw(a.listing_id, 14) > 0.3 THEN a.repair_provider
    END AS repair_provider,
    CASE
        WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment OR life.draw(a.listing_id, 15) > 0.3 THEN a.negotiability_ai ELSE 0.5
    END AS negotiability_ai,
    CASE WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment OR life.draw(a.listing_id, 16) > 0.3 THEN a.urgency_ai ELSE 0.5 END AS urgency_ai,
    a.lqs_textonly,
    a.opening_offer_nok,
    a.storage_gb_fixed_ai,
    CASE WHEN coalesce(a.updated_at, a.first_read_at) <= t.moment THEN a.updated_at ELSE a.first_read_at END AS updated_at
FROM life.ai AS a
CROSS JOIN life.clock AS t
WHERE a.first_read_at <= t.moment;
