"""The mails of a run that passed: of days to review, and of warnings that are new or over."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import date
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from feature_store.audit.lease import RunKey
from feature_store.reporting.mail.compose import compose_review
from feature_store.reporting.mail.good_run import mail_warnings, review_mail
from feature_store.reporting.run.step import Step
from feature_store.settings import Settings
from tests.feature_store.reporting.mail.mails import (
    DAG,
    E_VIEW,
    NOBODY,
    RUN,
    context,
    facts,
    lines,
    only_mail,
    opened,
    parts,
    record,
)


@pytest.fixture(scope="module")
def headings():
    """The sections of the runbook, and what each begins with."""
    page = (Path(__file__).resolve().parents[4] / "docs" / "operations.md").read_text()
    return dict(re.findall(r"^##+ (.*)\n\n(.*)$", page, flags=re.MULTILINE))


def runbook(text):
    """The section that a mail names."""
    return re.search(r'^Runbook: docs/operations.md, "(.*)"$', text, flags=re.MULTILINE)[1]


def warned(db, run, *expectations, rows=({"day": "2026-01-30", "listing_id": 7},), **of):
    """Record a run that passed, with these warnings."""
    opened(db, run, "passed", **of)
    for name in expectations:
        record(
            db, run_id=run, expectation=name, severity="warning", expected=name,
            breaching=len(rows), sample=list(rows),
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


def test_the_mail_of_a_review_has_its_commands_links_and_section_of_the_runbook(headings):
    settings = replace(Settings(), links_base="https://airflow.example.org/")
    days = {date(2026, 1, n): f"2026-01-{n:02}: 1 listing came late" for n in range(1, 13)}
    mail = review_mail(RunKey(DAG, RUN), date(2026, 6, 30), settings, days)
    accept = "bin/feature-store accept-history --day 2026-01-"
    commands = [line for line in mail.text.splitlines() if line.startswith("bin/")]
    assert commands[0] == "bin/feature-store history"
    assert commands[1:] == [f"{accept}{n:02} --reason '…'" for n in (1, 2, 3)]
    assert "For the other 9 days: the same command with that day. Or a backfill" in mail.text
    assert mail.link in mail.text.splitlines()
    assert mail.link == f"Run in Airflow: https://airflow.example.org/dags/{DAG}/runs/{RUN}"
    assert runbook(mail.text) in headings
    few = review_mail(RunKey(DAG, RUN), None, settings, dict(list(days.items())[:4]))
    assert "For the other day: the same command" in few.text


def test_the_mail_of_a_warning_says_what_to_do_and_its_runbook_does_not_call_the_run_failed(
    mailbox, store_db, headings
):
    warned(store_db, "1", "the_newest_listing_is_fresh")
    warned(store_db, "2")
    told = [message_from_bytes(m.read_bytes(), policy=policy.default) for m in mailbox.mails()]
    new, over = (parts(message)[0] for message in told)
    assert "The sources are old. See whether what loads them still runs.\n" in new
    assert "\nbin/feature-store report\n" in new
    assert "\nbin/feature-store stamp-proofs\n" in new
    assert "change most_days_without_a_listing (now 2) in include/thresholds.toml." in new
    assert new.startswith(f"a warning is new: {E_VIEW}: expected the_newest_listing_is_fresh\n")
    assert new.index("bin/feature-store") < new.index("WARNINGS")
    assert "bin/feature-store" not in over
    for text in (new, over):
        assert runbook(text) in headings
        assert headings[runbook(text)].startswith("The run passed and is certified.")


@pytest.mark.parametrize(
    ("of_the_package", "numbers"),
    [
        ("row_counts_stay_near_the_last_certified", "most_row_count_change (now 0.2)"),
        (
            "no_feature_has_drifted",
            "most_drift (now 0.35), most_drift_to_usual (now 2), least_",
        ),
        ("every_spam_token_is_known", None),
    ],
)
def test_the_numbers_that_decide_on_a_warning_are_named_with_what_they_are(
    mailbox, store_db, of_the_package, numbers
):
    suite = "spam_absence" if "spam" in of_the_package else "as_of_counts"
    opened(store_db, "1", "passed")
    record(store_db, run_id="1", suite=suite, expectation=of_the_package, severity="warning")
    given = context()
    given["dag_run"].run_id = "1"
    mail_warnings(store_db.connection, given)
    text, _ = parts(only_mail(mailbox))
    if numbers is None:
        assert "no number decides on it" in text
        assert "stamp-proofs" not in text
    else:
        assert f"change {numbers}" in text


def test_a_long_review_mail_leaves_the_rest_to_the_command_line():
    days = [date(2026, 1, 1), date(2026, 2, 9)]
    mail = compose_review(facts(), days, [f"day {n}" for n in range(40)], [])
    assert mail.subject.endswith(
        "2 old days (2026-01-01 to 2026-02-09) have changed: please review"
    )
    assert "day 9\n\nand 30 more: bin/feature-store history" in mail.text


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
        f"a warning is new: {E_VIEW}: expected sources are fresh",
        f"a warning is new: {E_VIEW}: expected rows are many",
        f"2 warnings are over: {E_VIEW}: rows are many",
    ]
    for part in parts(told[0]):
        assert "The run passed." in part
        assert "2026-01-30" in part
    assert "listing_id  day" in parts(told[0])[0], "the key of store.toml leads"
    assert "sources are fresh" in parts(told[2])[0]


def tokens(**counts):
    day = f"2026-01-{sum(counts.values()):02}"
    return [{"token": name, "seen_on": day, "source_rows": n} for name, n in counts.items()]


def test_a_warning_that_lasts_is_mailed_again_for_what_it_newly_names_and_for_nothing_else(
    mailbox, store_db
):
    """An unknown token counts as no spam: just then one wants to know of it."""
    known = "tokens are known"
    warned(store_db, "1", known, rows=tokens(maybe=1))
    warned(store_db, "2", known, rows=tokens(maybe=9))
    assert len(mailbox.mails()) == 1, "other numbers and days are no news"
    warned(store_db, "3", known, rows=tokens(maybe=9, odd=2))
    assert len(mailbox.mails()) == 2
    told = message_from_bytes(mailbox.mails()[1].read_bytes(), policy=policy.default)
    assert told["Subject"].endswith(f"is new: {E_VIEW}: expected {known}, now also of odd")
    text, _ = parts(told)
    assert text.startswith(f"a warning is new: {E_VIEW}: expected {known}, now also of odd\n")
    assert f"    expected: {known}, now also of odd\n" in text
    assert text.index("odd    ") < text.index("maybe  "), "the new row leads"
    # Whoever went and comes back while the check warns has been told of.
    warned(store_db, "4", known, "rows are many", rows=tokens(odd=2))
    warned(store_db, "5", known, rows=tokens(maybe=1, odd=1))
    warned(store_db, "6")
    assert len(mailbox.mails()) == 5
    for night, other in ((3, "rows are many"), (4, known)):
        over = message_from_bytes(mailbox.mails()[night].read_bytes(), policy=policy.default)
        assert over["Subject"].endswith(f"a warning is over: {E_VIEW}: {other}")
    warned(store_db, "7", known, rows=tokens(maybe=1))
    assert len(mailbox.mails()) == 6, "after it was over all is news"


def test_rows_with_the_store_s_key_are_examples_and_name_nothing_new(mailbox, store_db):
    for night, title in enumerate(("a", "b")):
        warned(store_db, str(night), "x", rows=[{"listing_id": night, "title": title}])
    assert len(mailbox.mails()) == 1


def test_a_warning_of_which_no_mail_could_go_out_is_told_by_the_next_run(
    mailbox, monkeypatch, store_db
):
    monkeypatch.setenv("FEATURE_STORE_SMTP_CONN_ID", "nowhere")
    warned(store_db, "1", "x")
    monkeypatch.delenv("FEATURE_STORE_SMTP_CONN_ID")
    warned(store_db, "2", "x")
    assert only_mail(mailbox)["Subject"].endswith(f"a warning is new: {E_VIEW}: expected x")


@pytest.mark.parametrize("of", [{"run_type": "backfill"}, {"as_of_day": "2026-06-12"}])
def test_a_run_for_an_older_day_says_nothing_of_warnings_for_its_sources_may_be_dead_since(
    mailbox, store_db, of
):
    warned(store_db, "1", "sources are fresh")
    warned(store_db, "2", **of)
    warned(store_db, "3", "rows are many", **of)
    warned(store_db, "4", "sources are fresh")
    assert only_mail(mailbox)["Subject"].endswith(f"is new: {E_VIEW}: expected sources are fresh")
    warned(store_db, "5", run_type="manual", as_of_day="2026-06-30")
    assert len(mailbox.mails()) == 2, "a run for a newer day does"


def test_a_run_whose_clock_was_ahead_silences_no_warnings_of_later_ones(mailbox, store_db):
    warned(store_db, "1", as_of_day="2999-01-01")
    warned(store_db, "2", "sources are fresh")
    assert only_mail(mailbox)["Subject"].endswith(f"is new: {E_VIEW}: expected sources are fresh")
