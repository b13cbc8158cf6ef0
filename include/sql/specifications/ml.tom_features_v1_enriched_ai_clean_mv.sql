-- Specification: E-speed's listings, all columns, with what the AI read of each, in numbers
-- Relation:      ml.tom_features_v1_enriched_ai_clean_mv (E-AI)
-- Key:           listing_id
-- Route:         E-AI tests each word for each column. Here tables say what a word means for all columns
--                at once; a word in no table, or NULL, sets the last column.
WITH mode (word, obo, firm, bids) AS (
    VALUES ('obo', 1, 0, 0), ('firm', 0, 1, 0), ('bids', 0, 0, 1)
),

owner (word, private, work) AS (
    VALUES ('private', 1, 0), ('work_phone', 0, 1)
),

repair (word, apple, authorized, independent) AS (
    VALUES ('apple', 1, 0, 0), ('authorized', 0, 1, 0), ('independent', 0, 0, 1)
),

shipping (can_ship, pickup_only, can, pickup, unspecified) AS (
    VALUES (TRUE, FALSE, 1, 0, 0), (TRUE, TRUE, 0, 1, 0), (FALSE, TRUE, 0, 1, 0), (FALSE, FALSE, 0, 0, 1)
)

SELECT
    e.*, -- noqa: AM04
    coalesce(mode.obo, 0) AS ai_sale_mode_obo,
    coalesce(mode.firm, 0) AS ai_sale_mode_firm,
    coalesce(mode.bids, 0) AS ai_sale_mode_bids,
    CASE WHEN mode.word IS NULL THEN 1 ELSE 0 END AS ai_sale_mode_unspecified,
    coalesce(owner.private, 0) AS ai_owner_private,
    coalesce(owner.work, 0) AS ai_owner_work,
    CASE WHEN owner.word IS NULL THEN 1 ELSE 0 END AS ai_owner_unknown,
    shipping.can AS ai_ship_can,
    shipping.pickup AS ai_ship_pickup,
    shipping.unspecified AS ai_ship_unspecified,
    coalesce(repair.apple, 0) AS ai_rep_apple,
    coalesce(repair.authorized, 0) AS ai_rep_authorized,
    coalesce(repair.independent, 0) AS ai_rep_independent,
    CASE WHEN repair.word IS NULL THEN 1 ELSE 0 END AS ai_rep_unknown,
    CASE WHEN ai.can_ship THEN 1 ELSE 0 END AS ai_can_ship_bin,
    CASE WHEN ai.pickup_only THEN 1 ELSE 0 END AS ai_pickup_only_bin,
    CASE WHEN ai.vat_invoice THEN 1 ELSE 0 END AS ai_vat_invoice_bin,
    CASE WHEN ai.first_owner THEN 1 ELSE 0 END AS ai_first_owner_bin,
    CASE WHEN ai.used_with_case_claim THEN 1 ELSE 0 END AS ai_used_with_case_bin,
    CASE WHEN ai.negotiability_ai > 1 THEN 1 WHEN ai.negotiability_ai > 0 THEN ai.negotiability_ai::float8 ELSE 0 END AS ai_negotiability_f,
    CASE WHEN ai.urgency_ai > 1 THEN 1 WHEN ai.urgency_ai > 0 THEN ai.urgency_ai::float8 ELSE 0 END AS ai_urgency_f,
    CASE WHEN ai.lqs_textonly > 1 THEN 1 WHEN ai.lqs_textonly > 0 THEN ai.lqs_textonly::float8 ELSE 0 END AS ai_lqs_textonly_f,
    CASE WHEN ai.opening_offer_nok > 0 THEN ai.opening_offer_nok::float8 ELSE 0 END AS ai_opening_offer_nok_f,
    CASE
        WHEN e.price > 0 AND ai.opening_offer_nok >= 5.0 * e.price THEN 5
        WHEN e.price > 0 AND ai.opening_offer_nok > 0 THEN ai.opening_offer_nok::float8 / e.price
        WHEN e.price > 0 THEN 0
    END AS ai_opening_offer_ratio,
    ai.storage_gb_fixed_ai::int AS ai_storage_gb_fixed
FROM ml.tom_features_v1_enriched_speed_mv AS e
LEFT JOIN "iPhone".iphone_ai_enrich AS ai ON e.listing_id = ai.listing_id
LEFT JOIN mode ON lower(ai.sale_mode) = mode.word
LEFT JOIN owner ON lower(ai.owner_type) = owner.word
LEFT JOIN repair ON lower(ai.repair_provider) = repair.word
INNER JOIN shipping
    ON (ai.can_ship IS TRUE) = shipping.can_ship AND (ai.pickup_only IS TRUE) = shipping.pickup_only
