-- History:    D4, the speed anchors
-- Role:       output
-- Relation:   ml.tom_speed_anchor_v1_mv
-- Day:        the anchor day
-- Key:        generation, sbucket, ptv_bucket
-- Depends:    D1 by cohort -90..-1
-- Appears:    A. An anchor day exists if a listing has its t0 on it; nothing else of that day
--             counts.
-- Counts:     D1 by cohort: sum_w, speed_fast7_anchor, speed_fast24_anchor, speed_slow21_anchor,
--             speed_n_eff_ptv. Sums of weights, one for each row of a sale, and shares of them.
-- Weighs:     D1 by cohort: speed_median_hours_ptv. The median.
SELECT
    d.anchor_day AS day,
    d.generation,
    d.sbucket,
    d.ptv_bucket,
    d.sum_w,
    d.speed_fast7_anchor,
    d.speed_fast24_anchor,
    d.speed_slow21_anchor,
    d.speed_median_hours_ptv,
    d.speed_n_eff_ptv,
    d.min_sold_day_used,
    d.max_sold_day_used
FROM ml.tom_speed_anchor_v1_mv AS d
