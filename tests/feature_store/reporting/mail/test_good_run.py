"""The mails of a run that passed: of days to review, and of warnings that are new or over."""

from __future__ import annotations

import logging
from datetime import date
from email import message_from_bytes, policy

from feature_store.reporting.mail.compose import compose_review
from feature_store.reporting.mail.good_run import mail_warnings
from feature_store.reporting.run.next_steps import Step
from tests.feature_store.reporting.mail.mails import (
    E_VIEW,
    NOBODY,
    context,
    facts,
    lines,
    only_mail,
    opened,
    parts,
    record,
)


def warned(db, run, *expectations):
    """Record a run that passed, with these warnings."""
    opened(db, run, "passed")
    for name in expectations:
        record(
            db, run_id=run, expectation=name, severity="warning", expected=name, breaching=1,
            sample=[{"day": "2026-01-30", "listing_id": 7}],
        )  # fmt: skip
    given = context()
    given["dag_run"].run_id = run
    mail_warnings(db.connection, given)


def test_of_new_warnings_nobody_is_told_with_one_line_too(mailbox, monkeypatch, caplog, store_db):
    monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "")
    with caplog.at_level(logging.INFO):
        warned(store_db, "1")
        assert lines(caplog, logging.INFO) == []
        warned(store_db, "2", "x")
    assert lines(caplog, logging.INFO) == [f"No mail about warnings: {NOBODY}"]
    assert mailbox.mails() == []


def test_a_review_mail_says_that_the_run_passed_and_how_to_accept():
    review = "A (ml.tom_features_v1_mv) of 2026-01-02: 1 rows came\n<b>title</b>"
    accept = "bin/feature-store accept-history --day 2026-01-02"
    mail = compose_review(facts(), [date(2026, 1, 2)], [review], [Step("Accept it:", accept)])
    assert mail.subject == (
        "feature store 2026-06-30: the old day 2026-01-02 has changed: please review"
    )
    assert "The run passed." in mail.text
    assert review in mail.text
    assert "<b>title" not in mail.html
    assert "&lt;b&gt;title" in mail.html
    for part in (mail.text, mail.html):
        assert accept in part


def test_a_long_review_mail_leaves_the_rest_to_the_command_line():
    days = [date(2026, 1, 1), date(2026, 2, 9)]
    mail = compose_review(facts(), days, [f"day {n}" for n in range(40)], [])
    assert mail.subject.endswith(
        "2 old days (2026-01-01 to 2026-02-09) have changed: please review"
    )
    assert "and 15 more: bin/feature-store history" in mail.text


def test_a_day_that_changed_in_two_layers_is_one_day_in_the_subject_of_the_review():
    layers = ["A of 2026-05-01: 1 rows came", "D2 of 2026-05-01: …"]
    mail = compose_review(facts(), [date(2026, 5, 1)], layers, [])
    assert "the old day 2026-05-01 has changed" in mail.subject
    assert "A of 2026-05-01: 1 rows came" in mail.text


def test_a_warning_is_mailed_when_it_is_new_and_when_it_is_over_and_not_between(mailbox, store_db):
    warned(store_db, "1")
    warned(store_db, "2", "sources are fresh")
    warned(store_db, "3", "sources are fresh")
    warned(store_db, "4", "sources are fresh", "rows are many")
    warned(store_db, "5")
    told = [message_from_bytes(m.read_bytes(), policy=policy.default) for m in mailbox.mails()]
    assert [m["Subject"].removeprefix("feature store 2026-06-30: ") for m in told] == [
        f"a warning is new: {E_VIEW}: sources are fresh",
        f"a warning is new: {E_VIEW}: rows are many",
        f"2 warnings are over: {E_VIEW}: rows are many",
    ]
    for part in parts(told[0]):
        assert "The run passed." in part
        assert "2026-01-30" in part
    assert "listing_id  day" in parts(told[0])[0], "the key of store.toml leads"
    assert "sources are fresh" in parts(told[2])[0]


def test_a_warning_of_which_no_mail_could_go_out_is_told_by_the_next_run(
    mailbox, monkeypatch, store_db
):
    monkeypatch.setenv("FEATURE_STORE_SMTP_CONN_ID", "nowhere")
    warned(store_db, "1", "x")
    monkeypatch.delenv("FEATURE_STORE_SMTP_CONN_ID")
    warned(store_db, "2", "x")
    assert only_mail(mailbox)["Subject"].endswith(f"a warning is new: {E_VIEW}: x")
