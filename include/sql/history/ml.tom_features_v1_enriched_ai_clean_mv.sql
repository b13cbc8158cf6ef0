-- History:    AI, what an AI read from each listing's text. Declared exception: as of the refresh
-- Role:       reported
-- Relation:   ml.tom_features_v1_enriched_ai_clean_mv
-- Day:        the listing's t0
-- Key:        listing_id
SELECT
    e.edited_date::date AS day,
    e.listing_id,
    e.ai_sale_mode_obo,
    e.ai_sale_mode_firm,
    e.ai_sale_mode_bids,
    e.ai_sale_mode_unspecified,
    e.ai_owner_private,
    e.ai_owner_work,
    e.ai_owner_unknown,
    e.ai_ship_can,
    e.ai_ship_pickup,
    e.ai_ship_unspecified,
    e.ai_rep_apple,
    e.ai_rep_authorized,
    e.ai_rep_independent,
    e.ai_rep_unknown,
    e.ai_can_ship_bin,
    e.ai_pickup_only_bin,
    e.ai_vat_invoice_bin,
    e.ai_first_owner_bin,
    e.ai_used_with_case_bin,
    e.ai_negotiability_f,
    e.ai_urgency_f,
    e.ai_lqs_textonly_f,
    e.ai_opening_offer_nok_f,
    e.ai_opening_offer_ratio,
    e.ai_storage_gb_fixed
FROM ml.tom_features_v1_enriched_ai_clean_mv AS e
