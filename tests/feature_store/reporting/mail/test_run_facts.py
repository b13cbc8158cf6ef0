"""What a mail knows of a failed run: from Airflow, from the exception, and from the record."""

from __future__ import annotations

from datetime import UTC, datetime

from feature_store.errors import (
    CannotConnect,
)
from feature_store.reporting.mail.airflow_facts import links
from feature_store.reporting.mail.compose import compose
from feature_store.reporting.run.account import Account, account_of_tasks
from feature_store.settings import Settings
from tests.feature_store.reporting.mail.mails import (
    DAG,
    E_VIEW,
    RUN,
    differs,
    facts,
    finding,
    opened,
    record,
    refreshed,
    told,
)


def test_findings_of_an_earlier_go_are_not_told_again(scratch):
    record(scratch)
    opened(scratch, RUN, prepared="now() - interval '1 hour'")  # by another clock
    assert told(scratch).findings == ()


def test_findings_of_rows_that_were_refreshed_since_are_not_told(scratch):
    """Mail, report, page and list of runs share one rule for this: the view ``finding``."""
    record(scratch)
    refreshed(scratch, E_VIEW, RUN)
    assert told(scratch).findings == ()


def test_findings_of_a_suite_that_did_not_run_this_time_are_not_told_again(scratch):
    record(scratch)
    record(scratch, suite="uniqueness", outcome="error")
    states = {"base.x": "failed", "expectations.as_of_counts": "upstream_failed"}
    assert [f.suite for f in told(scratch, states).findings] == ["uniqueness"]


def test_errors_are_told_apart_from_breaches(scratch):
    record(scratch, "error", observed="no such column")
    record(scratch, expectation="w", severity="warning", breaching=3)
    error, warning = told(scratch).findings
    assert (error.observed, error.is_critical) == ("no such column", False)
    assert (warning.amount, warning.is_warning) == ("3 rows", True)
    text = compose(facts(findings=(error, warning))).text
    assert text.index("COULD NOT BE CHECKED") < text.index("WARNINGS")


def test_a_specification_that_compared_nothing_says_so(scratch):
    record(scratch, expectation=E_VIEW)
    assert [f.amount for f in told(scratch).findings] == ["no row compared"]


def test_one_row_that_sums_up_is_told_by_its_counts_and_rows(scratch):
    record(scratch, sample=[{"repeated": 3, "sample": [{"listing_id": 7}]}], breaching=1)
    (found,) = told(scratch).findings
    assert (found.amount, found.sample) == ("3 rows", ({"listing_id": 7},))
    # Beside "one row per listing", "1 row" alone would read as if all were well.
    assert found.found == "3 rows found by its query"
    assert finding(breaching=1).found == "1 row found by its query"


def test_a_plain_view_comes_last_and_a_source_first(scratch):
    view, source = "feature_store.device_meta_encoded_t0_v1", "iPhone.iphone_listings"
    opened(scratch, RUN)
    refreshed(scratch, E_VIEW, RUN)
    record(scratch, suite="as_of_counts", relation=view)
    record(scratch, suite="spam_absence", relation=E_VIEW)
    record(scratch, suite="uniqueness", relation=source)
    assert [f.relation for f in told(scratch).findings] == [source, E_VIEW, view]


def test_the_log_is_that_of_the_suite_that_leads(scratch):
    refused = dict.fromkeys(["expectations.as_of_counts", "expectations.uniqueness"], "failed")
    account = account_of_tasks(refused, "assert_contract")
    differs(scratch, [])
    record(scratch, suite="uniqueness")
    read = told(scratch, refused, links=links(Settings(), DAG, RUN, account))
    assert [label for label, _ in read.links][:2] == [
        "Log of expectations.uniqueness",
        "Run in Airflow",
    ]


def test_rows_that_name_a_layer_put_it_into_the_subject_and_the_command(scratch):
    record(scratch, relation="feature_store_audit.refresh", sample=[{"relation": E_VIEW}])
    read = told(scratch, logical_date=datetime(2026, 6, 30, tzinfo=UTC))
    assert compose(read).subject.startswith(f"feature store: as_of_counts broken: {E_VIEW} (")
    assert "read.tom_features_v1_enriched_mv" in read.steps[-1].command


def test_of_a_proofs_row_the_key_is_told_and_only_what_differs(scratch):
    row = {
        "key": {"listing_id": 7},
        "observed": {"ask_cnt": 3, "sold_cnt_30d": 1, "ask_median_price": None},
        "expected": {"ask_cnt": 2, "sold_cnt_30d": 1, "ask_median_price": 5},
    }
    gone = {"key": {"listing_id": 8}, "observed": None, "expected": {"ask_cnt": 2}}
    differs(scratch, [row, gone])
    assert told(scratch).findings[0].sample == (
        {"listing_id": 7, "ask_cnt": "3, not 2", "ask_median_price": "NULL, not 5"},
        {"listing_id": 8, "row": "is missing"},
    )


def test_with_the_database_down_a_run_that_worked_has_changed_something():
    error = CannotConnect("Cannot connect.", readers="nothing was changed.")
    worked = {"prepare": "success", "base.x": "success"}
    read = told(None, worked, Account().raised(error))
    assert read.readers == "not known. The store could not be asked: down."
