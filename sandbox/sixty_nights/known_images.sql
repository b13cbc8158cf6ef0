-- What was seen on pictures until the moment of life.clock.
INSERT INTO feature_store.device_image_features_unified_v1
SELECT
    i.generation,
    i.listing_id,
    i.image_count,
    i.body_color_key_main,
    i.color_known,
    i.color_conflict,
    i.n_color_votes,
    i.color_primary_vote_share,
    i.color_vote_margin_share,
    i.model_effective_generation,
    i.model_fixed_any,
    i.model_generation_mismatch,
    i.is_spam_below13
FROM life.images AS i
CROSS JOIN life.clock AS t
WHERE i.looked_at <= t.moment
