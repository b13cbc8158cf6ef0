"""Breakages of the data: rows that are there twice, spam, and sources that move during the run."""

from __future__ import annotations

from dataclasses import replace

from sandbox.breakages.breakage import GATE, PASSES, Breakage, Expected
from sandbox.breakages.harm import edit, into_view, sql, together, write

E_CLEAN = "ml.tom_features_v1_enriched_clean_mv"
E_AI = "ml.tom_features_v1_enriched_ai_clean_mv"
_UNIQUENESS = "expectations.uniqueness"
_AS_OF = "expectations.as_of_counts"
_SPAM = "expectations.spam_absence"
_NO_SPAM = (
    "spam_absence/no_spam_in_listing_device_features_clean_mv",
    "spam_absence/no_spam_in_tom_features_v1_enriched_ai_clean_mv",
    "spam_absence/no_spam_in_tom_features_v1_enriched_clean_mv",
    "spam_absence/no_spam_in_tom_features_v1_enriched_speed_mv",
)
_TOO_MANY = "uniqueness/rows_of_tom_features_v1_enriched_clean_mv"

_DROP_AI_KEY = 'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey'
_TWICE = (
    'INSERT INTO "iPhone".iphone_ai_enrich SELECT a.* FROM "iPhone".iphone_ai_enrich AS a '
    f"INNER JOIN {E_AI} AS e USING (listing_id) WHERE a.storage_gb_fixed_ai IS NULL LIMIT 1"
)
# A later scrape finds the listing flagged; its first row, which A takes, carries no flag.
_FLAGGED = 'SELECT min(listing_id) FROM "iPhone".iphone_listings WHERE spam IS NULL'
_FLAG = (
    'INSERT INTO "iPhone".iphone_listings (listing_id, edited_date, spam) '
    f"SELECT s.listing_id, now(), '{{}}' FROM ({_FLAGGED}) AS s (listing_id)"
)
# A listing that the refresh has just left out of E-clean as spam, and that E has.
_FORCE_IN = (
    f"INSERT INTO {E_CLEAN} SELECT e.* FROM ml.tom_features_v1_enriched_mv AS e "
    "INNER JOIN feature_store_audit.spam_seen AS s ON e.listing_id = s.key {} LIMIT 1"
)
_SPAM_FAILS = Expected(
    failed=(GATE, _SPAM, _UNIQUENESS),
    broken=(*_NO_SPAM, _TOO_MANY),
    subject=f"spam_absence broken, 1 row of {E_CLEAN} and 4 more",
    mail_says=(f"no row that carried a spam token when {E_CLEAN} was refreshed",),
)
_AFTER_E_CLEAN = "read.tom_features_v1_enriched_clean_mv"
_MARKUP = "<img src=x onerror=alert(1)>"

OF_DATA = (
    Breakage(
        "duplicate-listing",
        "a listing_id is twice in a read layer",
        Expected(
            failed=(GATE, _UNIQUENESS),
            broken=("uniqueness/key_tfeat_enr_ai_clean_uq",),
            subject=f"uniqueness broken, 1 row of {E_AI} (one row per listing_id)",
        ),
        during=together(
            sql("DROP INDEX ml.tfeat_enr_ai_clean_uq"),
            into_view(E_AI, f"INSERT INTO {E_AI} SELECT * FROM {E_AI} LIMIT 1"),
        ),
    ),
    Breakage(
        "duplicate-ai-row",
        "the AI table has lost its key and has a row twice, which the refresh does not notice",
        Expected(
            failed=(GATE, _AS_OF, _UNIQUENESS),
            broken=(f"as_of_counts/{E_AI}", "uniqueness/one_ai_row_per_listing"),
            subject=f"uniqueness broken, 1 row of {E_AI} and 1 more",
            mail_says=("iPhone.iphone_ai_enrich has 2 rows for listing_id", "SELECT *"),
        ),
        before=sql(_DROP_AI_KEY, _TWICE),
    ),
    Breakage(
        "different-ai-rows",
        "the AI table has two different rows for a listing, and the refresh fails",
        Expected(
            failed=(GATE, "read.tom_features_v1_enriched_ai_clean_mv"),
            subject="read.tom_features_v1_enriched_ai_clean_mv failed: duplicate key (listing_id)…",
            mail_says=("To see the rows of iPhone.iphone_ai_enrich that share a key", "SELECT *"),
        ),
        before=sql(
            _DROP_AI_KEY,
            'INSERT INTO "iPhone".iphone_ai_enrich (listing_id, opening_offer_nok) '
            f"SELECT a.listing_id, 987654 FROM {E_AI} AS a LIMIT 1",
        ),
    ),
    Breakage(
        "spam-forced-in",
        "a spam listing is in E-clean, and in all that reads it",
        _SPAM_FAILS,
        during=into_view(E_CLEAN, _FORCE_IN.format("")),
        after=_AFTER_E_CLEAN,
    ),
    Breakage(
        "spam-token-odd",
        "a listing is flagged '  SPAM ', with blanks and in capitals: E-clean leaves it out",
        replace(
            PASSES,
            holds=f"SELECT NOT EXISTS (SELECT FROM {E_CLEAN} WHERE listing_id = ({_FLAGGED})) "
            f"AND EXISTS (SELECT FROM ml.tom_features_v1_mv WHERE listing_id = ({_FLAGGED}))",
        ),
        before=sql(_FLAG.format("  SPAM ")),
    ),
    Breakage(
        "spam-token-odd-forced-in",
        "a listing flagged '  SPAM ' is in E-clean all the same",
        _SPAM_FAILS,
        before=sql(_FLAG.format("  SPAM ")),
        during=into_view(
            E_CLEAN,
            _FORCE_IN.format(f"WHERE e.listing_id = ({_FLAGGED})"),
        ),
        after=_AFTER_E_CLEAN,
    ),
    Breakage(
        "late-arrivals",
        "a flag, a sale, an image and a new listing arrive between the refresh and the checks",
        PASSES,
        during=sql(
            _FLAG.format("spam"),
            "UPDATE \"iPhone\".iphone_listings SET sold_date = edited_date + interval '1 hour', "
            f"sold_price = 1 WHERE listing_id = (SELECT max(listing_id) FROM {E_AI})",
            "DELETE FROM feature_store.device_image_features_unified_v1 WHERE listing_id = "
            "(SELECT max(listing_id) FROM feature_store.device_image_features_unified_v1)",
            "INSERT INTO feature_store.device_image_features_unified_v1 "
            "(generation, listing_id, image_count, body_color_key_main) "
            f"SELECT a.generation, a.listing_id, 3, 'gold' FROM {E_AI} AS a "
            "LEFT JOIN feature_store.device_image_features_unified_v1 AS u USING (listing_id) "
            "WHERE u.listing_id IS NULL AND a.generation IS NOT NULL LIMIT 1",
            'INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, price, '
            "model, edited_date) SELECT max(listing_id) + 1, 15, 256, 7000, 'iPhone 15', "
            'max(edited_date) FROM "iPhone".iphone_listings',
        ),
    ),
    Breakage(
        "spam-let-through",
        "a flag was there before the refresh, and E-clean's SQL lets the listing through",
        Expected(
            failed=(GATE, _AS_OF, _SPAM, _UNIQUENESS),
            broken=(f"as_of_counts/{E_CLEAN}", *_NO_SPAM, _TOO_MANY),
            subject=f"spam_absence broken, 1 row of {E_CLEAN} and 5 more",
        ),
        before=sql(_FLAG.format("spam")),
        edit=edit(
            "sql/read/ml.tom_features_v1_enriched_clean_mv.sql",
            "WHERE s.listing_id = e.listing_id\n",
            "WHERE s.listing_id = e.listing_id AND s.listing_id <> "
            '(SELECT min(l.listing_id) FROM "iPhone".iphone_listings AS l WHERE l.spam IS NULL)\n',
        ),
        rebuilt=True,
    ),
    Breakage(
        "markup-in-a-title",
        "a spam listing whose title, and whose neighbour's flag, is HTML",
        Expected(
            failed=(GATE, _SPAM, _UNIQUENESS),
            broken=(*_NO_SPAM, "spam_absence/titles_of_spam", _TOO_MANY),
            subject=f"spam_absence broken, 1 row of {E_CLEAN} and 5 more",
            mail_says=(_MARKUP,),
            mail_hides=(_MARKUP,),
        ),
        before=sql(
            f"""UPDATE "iPhone".iphone_listings SET title = '{_MARKUP}'""",
            _FLAG.format(_MARKUP),
        ),
        during=into_view(E_CLEAN, _FORCE_IN.format("")),
        after=_AFTER_E_CLEAN,
        # As a person would, to see in the mail which rows were let in.
        edit=write(
            "sql/expectations/spam_absence/titles_of_spam.sql",
            f"-- Expectation: no title of spam\n-- Relation:    {E_CLEAN}\n"
            "-- Severity:    critical\nSELECT\n    e.listing_id,\n    e.title\n"
            f"FROM {E_CLEAN} AS e\nINNER JOIN feature_store_audit.spam_seen AS s "
            "ON e.listing_id = s.key;\n",
        ),
    ),
)
