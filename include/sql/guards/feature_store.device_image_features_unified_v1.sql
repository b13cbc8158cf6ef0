-- Guard:    every count to fit into an integer, and every share into a double precision
-- Mend:     correct the rows, or set what is not known to NULL. F1 casts these columns of all rows.
SELECT
    u.generation,
    u.listing_id,
    m.source_column,
    m.amount
FROM feature_store.device_image_features_unified_v1 AS u
CROSS JOIN
    LATERAL (
        VALUES
        ('image_count', u.image_count::numeric, 2147483647::numeric),
        ('n_color_votes', u.n_color_votes::numeric, 2147483647::numeric),
        ('color_primary_vote_share', u.color_primary_vote_share::numeric, 1e308::numeric),
        ('color_vote_margin_share', u.color_vote_margin_share::numeric, 1e308::numeric)
    ) AS m (source_column, amount, most)
WHERE
    (
        u.image_count NOT BETWEEN -2147483648 AND 2147483647
        OR u.n_color_votes NOT BETWEEN -2147483648 AND 2147483647
        OR abs(u.color_primary_vote_share) > 1e308
        OR abs(u.color_vote_margin_share) > 1e308
    )
    -- NaN and infinity can be cast, so this guard ignores them.
    AND abs(m.amount) > m.most AND m.amount NOT IN ('Infinity', '-Infinity', 'NaN')
ORDER BY u.generation, u.listing_id, m.source_column;
