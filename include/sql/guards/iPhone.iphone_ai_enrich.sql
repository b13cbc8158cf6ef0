-- Guard:    storage_gb_fixed_ai to fit into an integer, and every score into a double precision
-- Mend:     correct the rows, or set what is not known to NULL. E-AI and its proof cast these columns.
SELECT
    u.listing_id,
    m.source_column,
    m.amount
FROM "iPhone".iphone_ai_enrich AS u
CROSS JOIN
    LATERAL (
        VALUES
        ('storage_gb_fixed_ai', u.storage_gb_fixed_ai::numeric, 2147483647::numeric),
        ('negotiability_ai', u.negotiability_ai::numeric, 1e308::numeric),
        ('urgency_ai', u.urgency_ai::numeric, 1e308::numeric),
        ('lqs_textonly', u.lqs_textonly::numeric, 1e308::numeric)
    ) AS m (source_column, amount, most)
WHERE
    (
        u.storage_gb_fixed_ai NOT BETWEEN -2147483648 AND 2147483647
        OR abs(u.negotiability_ai) > 1e308
        OR abs(u.urgency_ai) > 1e308
        OR abs(u.lqs_textonly) > 1e308
    )
    -- NaN and infinity can be cast, so this guard ignores them.
    AND abs(m.amount) > m.most AND m.amount NOT IN ('Infinity', '-Infinity', 'NaN')
ORDER BY u.listing_id, m.source_column;
