"""What a run refreshed, and what it found unchanged: mail, report and summary say the same."""

from __future__ import annotations

import re

import pytest

from feature_store.reporting.report.render import render_report
from feature_store.reporting.run.read import read_record
from feature_store.reporting.run.summary import summary
from tests.feature_store.reporting.mail.mails import DAG, RUN, opened, refreshed, told

A, B, C = "ml.a", "ml.b", "ml.c"


@pytest.fixture
def night(scratch):
    """A store of three relations, all refreshed on the night before, and a run that begins."""
    scratch.run(
        "INSERT INTO feature_store_audit.definition "
        "(object, file_definition, live_definition, dictionary) "
        f"VALUES ('{A}', '', '', ''), ('{B}', '', '', ''), ('{C}', '', '', '')"
    )
    for relation in (A, B, C):
        refreshed(scratch, relation, "the night before")
    opened(scratch, RUN)
    return scratch


def found_unchanged(db, relation):
    db.run(
        "INSERT INTO feature_store_audit.reuse (dag_id, run_id, relation, refresh_id, reason) "
        f"SELECT '{DAG}', '{RUN}', relation, refresh_id, 'unchanged since run x' "
        f"FROM feature_store_audit.latest_refresh WHERE relation = '{relation}'"
    )


def new_in_mail(db):
    """The relations that the mail calls new, and those that it calls old."""
    new, _, old = told(db).readers.rpartition("rows of earlier refreshes: ")
    return re.findall(r"ml\.\w", new), re.findall(r"ml\.\w", old)


def not_in_report(db):
    """The relations that the report says this run did not refresh."""
    html = render_report(read_record(db.connection, DAG, RUN), (), ())
    listed = re.search(r"Not refreshed by this run.*?</ul>", html, re.DOTALL)
    return re.findall(r"ml\.\w", listed[0].replace("<wbr>", "")) if listed else []


def test_what_a_run_refreshed_before_it_was_prepared_anew_is_not_its_own(night):
    refreshed(night, A, RUN)
    refreshed(night, B, RUN)
    opened(night, RUN)  # cleared; the relation before A's fails
    refreshed(night, B, RUN)
    assert new_in_mail(night) == ([B], [C, A])
    assert not_in_report(night) == [C, A]
    assert summary(read_record(night.connection, DAG, RUN))["relations_of_run"] == 1


def test_what_a_run_found_unchanged_is_as_good_as_refreshed_but_not_new(night):
    refreshed(night, A, RUN)
    found_unchanged(night, B)
    assert new_in_mail(night) == ([A], [B, C])
    assert not_in_report(night) == [C]
    counts = summary(read_record(night.connection, DAG, RUN))
    assert (counts["relations"], counts["relations_of_run"], counts["relations_reused"]) == (
        3,
        2,
        1,
    )


def test_a_relation_that_was_dropped_by_name_is_left_out(night):
    night.run(f"DELETE FROM feature_store_audit.definition WHERE object = '{C}'")
    refreshed(night, A, RUN)
    assert new_in_mail(night) == ([A], [B])
    assert not_in_report(night) == [B]
    assert summary(read_record(night.connection, DAG, RUN))["relations"] == 2


def test_a_late_mail_says_what_readers_have_now(night):
    refreshed(night, A, RUN)
    opened(night, "the night after")
    refreshed(night, A, "the night after")
    assert told(night).readers.startswith("the rows of earlier refreshes; this run has refreshed ")
