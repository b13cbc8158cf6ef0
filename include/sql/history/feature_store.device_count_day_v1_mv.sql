-- History:    device counts, how many listings of each device came, as F2 saw them (F1 is live on images)
-- Role:       input
-- Relation:   feature_store.device_count_day_v1_mv
-- Day:        the listings' t0
-- Key:        gen_key, model_variant, color_bucket
SELECT
    c.t0_day AS day,
    c.gen_key,
    c.model_variant,
    c.color_bucket,
    c.n
FROM feature_store.device_count_day_v1_mv AS c
