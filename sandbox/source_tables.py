"""Names, columns and types of the three source tables, as ``sources.sql`` creates them.

Types are in PostgreSQL's own spelling, columns in the table's order. A test holds these constants
against the database, so the two cannot drift apart.
"""

from pathlib import Path

SOURCES_SQL = Path(__file__).with_name("sources.sql")

LISTING_TABLE = ("iPhone", "iphone_listings")
AI_TABLE = ("iPhone", "iphone_ai_enrich")
IMAGE_TABLE = ("feature_store", "device_image_features_unified_v1")

LISTING_TYPES = {
    "listing_id": "bigint",
    "generation": "integer",
    "model": "text",
    "storage_gb": "integer",
    "storage_gb_raw": "text",
    "storage": "text",
    "price": "integer",
    "condition_score": "numeric(4,3)",
    "battery_pct_fixed_ai": "integer",
    "battery_pct_fixed_at": "timestamp with time zone",
    "damage_severity_ai": "integer",
    "damage_binary_ai": "integer",
    "damage_ai_at": "timestamp with time zone",
    "quality_ai_version": "text",
    "seller_rating": "numeric(4,2)",
    "review_count": "integer",
    "member_since_year": "integer",
    "seller_stats_fetched": "boolean",
    "location_city": "text",
    "postal_code": "text",
    "title": "text",
    "description": "text",
    "url": "text",
    "status": "text",
    "spam": "text",
    "edited_date": "timestamp with time zone",
    "last_seen": "timestamp with time zone",
    "sold_date": "timestamp with time zone",
    "sold_price": "integer",
    "real_sold_price": "integer",
}

AI_TYPES = {
    "listing_id": "bigint",
    "sale_mode": "text",
    "owner_type": "text",
    "can_ship": "boolean",
    "pickup_only": "boolean",
    "vat_invoice": "boolean",
    "first_owner": "boolean",
    "used_with_case_claim": "boolean",
    "repair_provider": "text",
    "negotiability_ai": "double precision",
    "urgency_ai": "double precision",
    "lqs_textonly": "double precision",
    "opening_offer_nok": "integer",
    "storage_gb_fixed_ai": "integer",
    "updated_at": "timestamp with time zone",
}

IMAGE_TYPES = {
    "generation": "integer",
    "listing_id": "bigint",
    "image_count": "bigint",
    "body_color_key_main": "text",
    "color_known": "boolean",
    "color_conflict": "boolean",
    "n_color_votes": "bigint",
    "color_primary_vote_share": "numeric(6,5)",
    "color_vote_margin_share": "numeric(6,5)",
    "model_effective_generation": "integer",
    "model_fixed_any": "boolean",
    "model_generation_mismatch": "boolean",
    "is_spam_below13": "boolean",
}

LISTING_COLUMNS = tuple(LISTING_TYPES)
AI_COLUMNS = tuple(AI_TYPES)
IMAGE_COLUMNS = tuple(IMAGE_TYPES)

COLUMN_TYPES = {LISTING_TABLE: LISTING_TYPES, AI_TABLE: AI_TYPES, IMAGE_TABLE: IMAGE_TYPES}
"""The columns of each table, in the table's order, with their types."""
