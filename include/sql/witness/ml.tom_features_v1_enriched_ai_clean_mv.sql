-- Witness of ml.tom_features_v1_enriched_ai_clean_mv (E-AI): what the AI table was in the refresh's
-- own snapshot. Two AI rows of one listing would give it two rows. If both are alike and have a NULL, a
-- concurrent refresh silently drops one, so the source's own key is checked here.
-- Also: pandas writes NaN for a missing value. NaN is above all numbers, so a clipped score becomes 1.
-- :refresh_id is the refresh's row in feature_store_audit.refresh.
WITH repeated AS (
    SELECT
        u.listing_id,
        count(*) AS source_rows
    FROM "iPhone".iphone_ai_enrich AS u
    WHERE u.listing_id IS NOT NULL -- other rows join no listing
    GROUP BY u.listing_id
    HAVING count(*) > 1
),

example AS (
    SELECT to_jsonb(r) AS example
    FROM repeated AS r
    ORDER BY r.listing_id
    LIMIT 20
),

newer AS (
    SELECT count(*) AS n
    FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
    INNER JOIN "iPhone".iphone_ai_enrich AS u ON e.listing_id = u.listing_id
    WHERE u.updated_at > e.edited_date
),

nan AS (
    SELECT
        n.feature,
        n.source_rows
    FROM (
        SELECT
            count(*) FILTER (WHERE u.negotiability_ai::numeric = 'NaN' AND e.ai_negotiability_f = 1)
                AS negotiability,
            count(*) FILTER (WHERE u.urgency_ai::numeric = 'NaN' AND e.ai_urgency_f = 1)
                AS urgency,
            count(*) FILTER (WHERE u.lqs_textonly::numeric = 'NaN' AND e.ai_lqs_textonly_f = 1)
                AS lqs_textonly
        FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
        INNER JOIN "iPhone".iphone_ai_enrich AS u ON e.listing_id = u.listing_id
    ) AS c
    CROSS JOIN
        LATERAL (
            VALUES
            ('ai_negotiability_f', c.negotiability),
            ('ai_urgency_f', c.urgency),
            ('ai_lqs_textonly_f', c.lqs_textonly)
        ) AS n (feature, source_rows)
    WHERE n.source_rows > 0
),

disparate AS (
    -- Turns each AI column back into the AI row's value, and compares it with the AI row.
    SELECT e.listing_id
    FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
    LEFT JOIN "iPhone".iphone_ai_enrich AS u ON e.listing_id = u.listing_id
    WHERE
        (
            CASE
                WHEN e.ai_sale_mode_obo = 1 THEN 1
                WHEN e.ai_sale_mode_firm = 1 THEN 2
                WHEN e.ai_sale_mode_bids = 1 THEN 3
            END,
            e.ai_sale_mode_obo + e.ai_sale_mode_firm + e.ai_sale_mode_bids
            + e.ai_sale_mode_unspecified
        ) IS DISTINCT FROM (array_position(ARRAY['obo', 'firm', 'bids'], lower(u.sale_mode)), 1)
        OR (
            CASE
                WHEN e.ai_owner_private = 1 THEN 1
                WHEN e.ai_owner_work = 1 THEN 2
            END,
            e.ai_owner_private + e.ai_owner_work + e.ai_owner_unknown
        ) IS DISTINCT FROM (array_position(ARRAY['private', 'work_phone'], lower(u.owner_type)), 1)
        OR (
            CASE
                WHEN e.ai_rep_apple = 1 THEN 1
                WHEN e.ai_rep_authorized = 1 THEN 2
                WHEN e.ai_rep_independent = 1 THEN 3
            END,
            e.ai_rep_apple + e.ai_rep_authorized + e.ai_rep_independent + e.ai_rep_unknown
        ) IS DISTINCT FROM (
            array_position(ARRAY['apple', 'authorized', 'independent'], lower(u.repair_provider)), 1
        )
        OR (
            e.ai_can_ship_bin = 1, e.ai_pickup_only_bin = 1, e.ai_vat_invoice_bin = 1,
            e.ai_first_owner_bin = 1, e.ai_used_with_case_bin = 1
        ) IS DISTINCT FROM (
            u.can_ship IS TRUE, u.pickup_only IS TRUE, u.vat_invoice IS TRUE,
            u.first_owner IS TRUE, u.used_with_case_claim IS TRUE
        )
        OR (e.ai_ship_can = 1, e.ai_ship_pickup = 1, e.ai_ship_unspecified = 1) IS DISTINCT FROM (
            u.can_ship IS TRUE AND u.pickup_only IS NOT TRUE,
            u.pickup_only IS TRUE,
            u.can_ship IS NOT TRUE AND u.pickup_only IS NOT TRUE
        )
        OR (
            e.ai_negotiability_f, e.ai_urgency_f, e.ai_lqs_textonly_f, e.ai_opening_offer_nok_f
        ) IS DISTINCT FROM (
            least(greatest(u.negotiability_ai::float8, 0), 1),
            least(greatest(u.urgency_ai::float8, 0), 1),
            least(greatest(u.lqs_textonly::float8, 0), 1),
            greatest(u.opening_offer_nok::float8, 0)
        )
        OR e.ai_opening_offer_ratio IS DISTINCT FROM (
            CASE WHEN e.price > 0 THEN least(5, e.ai_opening_offer_nok_f / e.price) END
        )
        OR e.ai_storage_gb_fixed IS DISTINCT FROM u.storage_gb_fixed_ai
),

disparate_example AS (
    SELECT to_jsonb(d) AS example
    FROM disparate AS d
    ORDER BY d.listing_id
    LIMIT 20
)

INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'listings with several AI rows' AS fact,
    (SELECT count(*) FROM repeated) AS n,
    coalesce((SELECT jsonb_agg(x.example) FROM example AS x), '[]') AS sample
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'AI rows written after t0' AS fact,
    w.n,
    '[]' AS sample
FROM newer AS w
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'rows out of parity with the AI table' AS fact,
    (SELECT count(*) FROM disparate) AS n,
    coalesce((SELECT jsonb_agg(x.example) FROM disparate_example AS x), '[]') AS sample
UNION ALL
SELECT
    :refresh_id AS refresh_id,
    'values that are NaN in the source' AS fact,
    coalesce(sum(x.source_rows), 0) AS n,
    coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.feature), '[]') AS sample
FROM nan AS x;
