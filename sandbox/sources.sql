-- The three source tables that the feature store reads and never writes.
-- A real deployment has them already; the sandbox and the tests create them with this file.

CREATE SCHEMA IF NOT EXISTS "iPhone";
CREATE SCHEMA IF NOT EXISTS feature_store;

-- Advertisements. Several rows per listing_id: one per edit and one per re-scrape,
-- therefore no primary key.
CREATE TABLE IF NOT EXISTS "iPhone".iphone_listings (
    listing_id bigint NOT NULL,
    generation integer, -- 13 to 17; NULL where it could not be told
    model text, -- as the seller wrote it: 'iPhone 15 Pro Max'
    storage_gb integer, -- gigabytes, parsed from storage_gb_raw
    storage_gb_raw text, -- the text that storage_gb was parsed from
    storage text, -- the site's own storage label
    price integer, -- asking price in whole currency units (NOK)
    condition_score numeric(4, 3), -- 0 is scrap, 1 is as new
    battery_pct_fixed_ai integer, -- battery health in per cent
    battery_pct_fixed_at timestamptz, -- when battery_pct_fixed_ai was written
    damage_severity_ai integer, -- 0 none, 1 light, 2 visible, 3 broken
    damage_binary_ai integer, -- 1 where the severity is above 0
    damage_ai_at timestamptz, -- when the two damage columns were written
    quality_ai_version text, -- version of the model that scored the condition
    seller_rating numeric(4, 2), -- 0 to 10
    review_count integer, -- reviews behind seller_rating
    member_since_year integer, -- year in which the seller registered
    seller_stats_fetched boolean, -- false: the three seller columns are not known
    location_city text,
    postal_code text, -- text: Norwegian codes have leading zeros
    title text,
    description text,
    url text,
    status text, -- state of the advertisement when last scraped
    spam text, -- free-form mark; NULL where nobody marked the row
    edited_date timestamptz, -- t0: when the seller wrote this version
    last_seen timestamptz, -- last scrape that found this version online
    sold_date timestamptz, -- NULL while unsold
    sold_price integer, -- price at which the site says it was sold
    real_sold_price integer -- price that was confirmed; wins over sold_price
);

CREATE INDEX IF NOT EXISTS iphone_listings_listing_idx
ON "iPhone".iphone_listings (listing_id);

-- What a language model read out of title and description: at most one row per listing.
CREATE TABLE IF NOT EXISTS "iPhone".iphone_ai_enrich (
    listing_id bigint PRIMARY KEY,
    sale_mode text, -- 'obo' (or best offer), 'firm', 'bids'
    owner_type text, -- 'private', 'work_phone'
    can_ship boolean,
    pickup_only boolean,
    vat_invoice boolean,
    first_owner boolean,
    used_with_case_claim boolean, -- the seller says that a case was always on
    repair_provider text, -- 'apple', 'authorized', 'independent'
    negotiability_ai double precision, -- meant to be 0 to 1, not enforced
    urgency_ai double precision, -- meant to be 0 to 1, not enforced
    lqs_textonly double precision, -- quality of the text, meant to be 0 to 1
    opening_offer_nok integer, -- lowest offer that the seller invites
    storage_gb_fixed_ai integer, -- storage as the text states it
    updated_at timestamptz -- when this row was last rewritten
);

-- What was seen on the pictures: at most one row per generation and listing.
CREATE TABLE IF NOT EXISTS feature_store.device_image_features_unified_v1 (
    generation integer NOT NULL,
    listing_id bigint NOT NULL,
    image_count bigint,
    body_color_key_main text, -- 'deep_purple'; case matters
    color_known boolean,
    color_conflict boolean, -- pictures voted for more than one colour
    n_color_votes bigint, -- pictures that voted for any colour
    color_primary_vote_share numeric(6, 5), -- share of the winning colour, 0 to 1
    color_vote_margin_share numeric(6, 5), -- winner's share minus the runner-up's
    model_effective_generation integer, -- generation seen, where it was told
    model_fixed_any boolean, -- the pictures corrected the model
    model_generation_mismatch boolean, -- seen and advertised generation differ
    is_spam_below13 boolean, -- shows a phone older than generation 13
    PRIMARY KEY (generation, listing_id)
);
