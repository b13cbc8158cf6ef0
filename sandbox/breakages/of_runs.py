"""Breakages of what a run needs: columns, refreshes, the database, the mail server."""

from __future__ import annotations

from sandbox.breakages.breakage import GATE, Breakage, Expected
from sandbox.breakages.harm import (
    cancel,
    into_view,
    sql,
    stop_server,
    terminate,
    while_blocked,
)
from sandbox.breakages.of_data import E_AI
from sandbox.breakages.of_proofs import E

_SPAM = "expectations.spam_absence"
_AS_OF = "expectations.as_of_counts"
_TRAINING = "feature_log.tom_features_v1_training"
_E_AI_TASK = "read.tom_features_v1_enriched_ai_clean_mv"

OF_RUNS = (
    Breakage(
        "source-column-dropped",
        "a column of a source was dropped, and all that read it",
        Expected(
            failed=(GATE, "prepare"),
            subject="prepare failed: The source column iPhone.iphone_ai_enrich.sale_mode "
            "is missing, and 1 more",
            mail_says=(f"require_certified raises for tom_features_v1: {E_AI} does not exist.",),
        ),
        before=sql('ALTER TABLE "iPhone".iphone_ai_enrich DROP COLUMN sale_mode CASCADE'),
    ),
    Breakage(
        "feature-column-gone",
        "a column that the contract names is gone from E-AI when the checks come",
        Expected(
            failed=(GATE, _AS_OF),
            subject='as_of_counts could not be checked (column "ai_urgency_f" does not exist)',
        ),
        during=sql(f"ALTER MATERIALIZED VIEW {E_AI} RENAME COLUMN ai_urgency_f TO gone"),
    ),
    Breakage(
        "feature-dropped",
        "a feature was deleted from the stamped contract",
        Expected(
            failed=(GATE,),
            subject="The contract of tom_features_v1 is broken: "
            "its rows in the database have changed since the…",
        ),
        before=sql("DELETE FROM ml.feature_contract WHERE feature_name = 'price'"),
    ),
    Breakage(
        "labels-inverted-in-the-training-view",
        "somebody replaces the training view after prepare looked at it, before the suites",
        Expected(
            failed=(GATE,),
            subject=f"This run cannot certify the store: The training view {_TRAINING} i…",
            mail_says=(
                "is not as a stamp makes it",
                "bin/feature-store stamp-contract tom_features_v1",
            ),
        ),
        during=sql(
            f"DO $$BEGIN EXECUTE 'CREATE OR REPLACE VIEW {_TRAINING} AS ' || replace("
            f"pg_get_viewdef('{_TRAINING}'::regclass), 'label_0.sold_event', "
            "'NOT label_0.sold_event AS sold_event'); END$$"
        ),
    ),
    Breakage(
        "refresh-fails-half-way",
        "somebody cancels the refresh of E-AI while it works",
        Expected(
            failed=(GATE, _E_AI_TASK),
            subject=f"{_E_AI_TASK} failed: cancelled, or statement timeout",
            mail_says=("3 tasks did not run.",),
            tries=((_E_AI_TASK, 1),),
        ),
        during=while_blocked("feature_store_audit.fact", _E_AI_TASK, cancel),
        after="read.tom_features_v1_enriched_speed_mv",
    ),
    Breakage(
        "database-stopped",
        "the database stops in the middle of a suite and stays down",
        Expected(
            failed=(GATE, _SPAM),
            verdict=None,
            report=False,
            subject="spam_absence could not be checked (Cannot connect to …",
            mail_says=("The store could not be asked: Cannot connect to",),
            tries=((_SPAM, 4), (GATE, 4)),
        ),
        during=while_blocked("feature_store_audit.spam_seen_log", _SPAM, stop_server),
        before_suite="spam_absence",
        own_server=True,
    ),
    Breakage(
        "session-ended",
        "a session is ended in the middle of a suite and the database comes back: a retry passes",
        Expected(verdict="passed", certified=True, tries=((_SPAM, 2), (GATE, 1))),
        during=while_blocked("feature_store_audit.spam_seen_log", _SPAM, terminate),
        before_suite="spam_absence",
    ),
    Breakage(
        "mail-server-down",
        "a median of E is off, and the mail server is down",
        Expected(
            failed=(GATE, _AS_OF),
            broken=(f"as_of_counts/{E}",),
            log_says="could not be sent through 127.0.0.1:1 (Airflow connection 'smtp_default')",
        ),
        during=into_view(
            E,
            f"UPDATE {E} SET ask_median_price = ask_median_price + 1 WHERE listing_id "
            f"= (SELECT min(listing_id) FROM {E} WHERE ask_median_price IS NOT NULL)",
        ),
        mail_server=False,
    ),
)
