-- Relation:   ml.tom_features_v1_enriched_ai_clean_mv (E-AI), what the time-on-market model reads
-- Grain:      one row per listing_id
-- Rows:       those of ml.tom_features_v1_enriched_speed_mv
-- As-of:      edited_date (t0), but for the ai_ columns. Declared exception: they come from the AI row
--             as it stands at the refresh. docs/training.md says how to guard them: most AI rows
--             are written after t0, so most ai_ columns then fall back to their defaults.
-- Never sees: a sale of the listing's own day or later, a flagged listing
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_features_v1_enriched_ai_clean_mv AS
SELECT
    e.listing_id,
    e.edited_date,
    e.generation,
    e.model,
    e.storage_gb,
    e.price,
    e.condition_score,
    e.battery_pct_fixed_ai,
    e.damage_severity_ai,
    e.damage_binary_ai,
    e.seller_rating,
    e.review_count,
    e.member_since_year,
    e.location_city,
    e.postal_code,
    e.title,
    e.description,
    e.title_length,
    e.description_length,
    e.anchor_median_hours_14d,
    e.anchor_14d_n,
    e.ask_median_price,
    e.ask_cnt,
    e.sold_median_price_30d,
    e.sold_cnt_30d,
    e.ptv_sold_30d,
    e.ptv_ask_day,
    e.delta_vs_sold_median_30d,
    e.delta_vs_ask_median_day,
    e.ptv_final,
    e.speed_fast7_anchor,
    e.speed_fast24_anchor,
    e.speed_slow21_anchor,
    e.speed_median_hours_ptv,
    e.speed_n_eff_ptv,
    (coalesce(lower(ai.sale_mode), '') = 'obo')::int AS ai_sale_mode_obo,
    (coalesce(lower(ai.sale_mode), '') = 'firm')::int AS ai_sale_mode_firm,
    (coalesce(lower(ai.sale_mode), '') = 'bids')::int AS ai_sale_mode_bids,
    (coalesce(lower(ai.sale_mode), '') NOT IN ('obo', 'firm', 'bids'))::int AS ai_sale_mode_unspecified,
    (coalesce(lower(ai.owner_type), '') = 'private')::int AS ai_owner_private,
    (coalesce(lower(ai.owner_type), '') = 'work_phone')::int AS ai_owner_work,
    (coalesce(lower(ai.owner_type), '') NOT IN ('private', 'work_phone'))::int AS ai_owner_unknown,
    (coalesce(ai.can_ship, FALSE) AND NOT coalesce(ai.pickup_only, FALSE))::int AS ai_ship_can,
    coalesce(ai.pickup_only, FALSE)::int AS ai_ship_pickup,
    (NOT coalesce(ai.can_ship, FALSE) AND NOT coalesce(ai.pickup_only, FALSE))::int
        AS ai_ship_unspecified,
    (coalesce(lower(ai.repair_provider), '') = 'apple')::int AS ai_rep_apple,
    (coalesce(lower(ai.repair_provider), '') = 'authorized')::int AS ai_rep_authorized,
    (coalesce(lower(ai.repair_provider), '') = 'independent')::int AS ai_rep_independent,
    (coalesce(lower(ai.repair_provider), '') NOT IN ('apple', 'authorized', 'independent'))::int AS ai_rep_unknown,
    coalesce(ai.can_ship, FALSE)::int AS ai_can_ship_bin,
    coalesce(ai.pickup_only, FALSE)::int AS ai_pickup_only_bin,
    coalesce(ai.vat_invoice, FALSE)::int AS ai_vat_invoice_bin,
    coalesce(ai.first_owner, FALSE)::int AS ai_first_owner_bin,
    coalesce(ai.used_with_case_claim, FALSE)::int AS ai_used_with_case_bin,
    greatest(0, least(1, coalesce(ai.negotiability_ai, 0)))::float8 AS ai_negotiability_f,
    greatest(0, least(1, coalesce(ai.urgency_ai, 0)))::float8 AS ai_urgency_f,
    greatest(0, least(1, coalesce(ai.lqs_textonly, 0)))::float8 AS ai_lqs_textonly_f,
    greatest(0, coalesce(ai.opening_offer_nok, 0))::float8 AS ai_opening_offer_nok_f,
    CASE
        WHEN e.price > 0
            THEN
                greatest(
                    0, least(5.0, coalesce(ai.opening_offer_nok, 0)::float8 / e.price::float8)
                )
    END AS ai_opening_offer_ratio,
    ai.storage_gb_fixed_ai::int AS ai_storage_gb_fixed
FROM ml.tom_features_v1_enriched_speed_mv AS e
LEFT JOIN "iPhone".iphone_ai_enrich AS ai ON e.listing_id = ai.listing_id
-- Ordered only to make a concurrent refresh faster (docs/decisions/ordered-rows.md).
ORDER BY e.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX tfeat_enr_ai_clean_uq ON ml.tom_features_v1_enriched_ai_clean_mv (listing_id);

COMMENT ON MATERIALIZED VIEW ml.tom_features_v1_enriched_ai_clean_mv IS
'E-AI: E-speed with 25 features that an AI read from the listing''s text. Feature set tom_features_v1 is bound to it.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_sale_mode_obo IS
'1 if the AI read sale_mode obo, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_sale_mode_firm IS
'1 if the AI read sale_mode firm, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_sale_mode_bids IS
'1 if the AI read sale_mode bids, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_sale_mode_unspecified IS
'1 if the AI read no known sale_mode, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_owner_private IS
'1 if the AI read owner_type private, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_owner_work IS
'1 if the AI read owner_type work_phone, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_owner_unknown IS
'1 if the AI read no known owner_type, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_ship_can IS
'1 if the seller ships and does not insist on pickup, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_ship_pickup IS
'1 if pickup only, even where shipping is offered too, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_ship_unspecified IS
'1 if neither shipping nor pickup is named, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_rep_apple IS
'1 if the AI read repair_provider apple, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_rep_authorized IS
'1 if the AI read repair_provider authorized, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_rep_independent IS
'1 if the AI read repair_provider independent, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_rep_unknown IS
'1 if the AI read no known repair_provider, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_can_ship_bin IS
'1 if the seller ships, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_pickup_only_bin IS
'1 if pickup only, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_vat_invoice_bin IS
'1 if a VAT invoice is offered, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_first_owner_bin IS
'1 if the seller is the first owner, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_used_with_case_bin IS
'1 if the seller says that it was used with a case, else 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_negotiability_f IS
'Negotiability, clipped to 0..1; 0 where unknown, 1 where the source says NaN. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_urgency_f IS
'Urgency to sell, clipped to 0..1; 0 where unknown, 1 where the source says NaN. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_lqs_textonly_f IS
'Quality of the listing''s text, clipped to 0..1; 0 where unknown, 1 where the source says NaN. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_opening_offer_nok_f IS
'Opening offer in whole currency units, not below 0; 0 where unknown. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_opening_offer_ratio IS
'Opening offer / price, clipped to 0..5; NULL where price is NULL or not above 0. AI row as of the refresh, not as of t0.';
COMMENT ON COLUMN ml.tom_features_v1_enriched_ai_clean_mv.ai_storage_gb_fixed IS
'Storage in GB that the AI read; NULL where it read none. AI row as of the refresh, not as of t0.';
