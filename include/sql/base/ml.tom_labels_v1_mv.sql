-- Relation:   ml.tom_labels_v1_mv (B), the labels
-- Grain:      one row per listing_id of A
-- Rows:       those of ml.tom_features_v1_mv
-- As-of:      none: these are outcomes, for training only
-- Never sees: a flagged row. No feature may read this relation.
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_labels_v1_mv AS
WITH outcome AS (
    SELECT
        l.listing_id,
        min(l.sold_date) AS sold_date,
        max(l.last_seen) AS last_seen
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL
    GROUP BY l.listing_id
)

SELECT
    f.listing_id,
    f.edited_date,
    o.sold_date,
    o.last_seen,
    o.sold_date IS NOT NULL AS sold_event,
    -- greatest() ignores NULL: a listing whose end or t0 is not known gets 0, not NULL.
    greatest(
        0.0,
        extract(EPOCH FROM (coalesce(o.sold_date, o.last_seen) - f.edited_date)) / 3600.0
    ) AS duration_hours
FROM ml.tom_features_v1_mv AS f
LEFT JOIN outcome AS o ON f.listing_id = o.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX tlabels_v1_listing_uq ON ml.tom_labels_v1_mv (listing_id);
CREATE INDEX tlabels_v1_evt_idx ON ml.tom_labels_v1_mv (sold_event);

COMMENT ON MATERIALIZED VIEW ml.tom_labels_v1_mv IS
'B: what became of each listing of A. Outcomes: for training, never a feature.';
COMMENT ON COLUMN ml.tom_labels_v1_mv.sold_date IS
'Outcome: the earliest sold_date among the listing''s unflagged rows; NULL while unsold.';
COMMENT ON COLUMN ml.tom_labels_v1_mv.last_seen IS
'Outcome: when the listing was last seen online.';
COMMENT ON COLUMN ml.tom_labels_v1_mv.sold_event IS
'Label: true if sold, false if censored at last_seen.';
COMMENT ON COLUMN ml.tom_labels_v1_mv.duration_hours IS
'Label: hours from t0 to the sale, or to last_seen if unsold; never below 0, and 0 if not known.';
