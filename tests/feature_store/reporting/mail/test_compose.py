"""What the mail of a failed run says, in its subject and in both its parts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from feature_store.errors import (
    LeakFound,
    NotReady,
    StoreError,
)
from feature_store.reporting.mail.compose import compose
from feature_store.reporting.mail.run_facts import RUN_LINK, readers_have, title_of
from feature_store.reporting.mail.send import of_its_store
from feature_store.reporting.run.account import Account, Cause, FailedTask, account_of_tasks
from feature_store.reporting.run.short_cause import cause_of
from feature_store.reporting.run.step import Step
from feature_store.settings import Settings
from feature_store.store_address import of_store
from tests.feature_store.reporting.mail.mails import (
    E_VIEW,
    facts,
    failed,
    finding,
    readable,
)


def test_the_subject_begins_with_what_people_call_the_store(tmp_path):
    assert compose(facts(title="bike stations")).subject.startswith("bike stations 2026-06-30: ")
    (tmp_path / "store.toml").write_text('name = "bikes"\ntitle = "bike stations"\n')
    assert title_of(tmp_path) == "bike stations"
    assert title_of(tmp_path / "gone") == "feature store"


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (
            {"findings": (finding(breaching=1),)},
            f"as_of_counts broken, 1 row of {E_VIEW} (rule)",
        ),
        (
            {"findings": (finding(breaching=2), finding(), finding(severity="warning"))},
            f"as_of_counts broken, 2 rows of {E_VIEW} and 1 more",
        ),
        (
            {"account": failed(("base.tom_features_v1_mv", "lock timeout"))},
            "base.tom_features_v1_mv failed: lock timeout",
        ),
        (
            {"account": failed(("expectations.spam_absence", "connection lost"))},
            "spam_absence could not be checked (connection lost)",
        ),
        (
            {
                "findings": (finding(outcome="error", observed="no column"),),
                "account": failed("expectations.as_of_counts"),
            },
            "as_of_counts could not be checked (no column)",
        ),
        # A failed task is the cause; what the run found before it refreshed is not.
        ({"findings": (finding(),), "account": failed("base.x")}, "base.x failed"),
        ({"account": Account("tom_v1: drifted.\nmore")}, "tom_v1: drifted."),
        ({"findings": (finding(severity="warning"),)}, "no cause recorded, see the log"),
        (
            {"account": Account("The contract of x is broken:", ("a is gone.",))},
            "The contract of x is broken: a is gone.",
        ),
        ({"account": Account("It is broken:", ("a\nb", "c"))}, "It is broken: a, and 1 more"),
        (
            {
                "account": failed(
                    ("prepare", "a is missing"), never_ran=[f"base.t{n}" for n in "ab"]
                )
            },
            "prepare failed: a is missing",
        ),
    ],
)
def test_the_subject_alone_tells_what_broke(given, subject):
    assert compose(facts(**given)).subject == f"feature store 2026-06-30: {subject}"


def test_what_fails_first_is_told_first_as_a_run_goes():
    states = dict.fromkeys(["read.b", "expectations.uniqueness", "base.z", "prepare"], "failed")
    account = account_of_tasks({**states, "assert_contract": "running"}, "assert_contract")
    assert [task.task_id for task in account.failed] == [
        "prepare",
        "base.z",
        "read.b",
        "expectations.uniqueness",
    ]


def test_an_account_is_read_from_the_record_as_it_was_written():
    account = failed(("prepare", "x"), never_ran=["base.a"]).raised(
        LeakFound("A leak:", items=["a", "b"], readers="r", next_step="n")
    )
    assert Account.read(json.loads(json.dumps(account.record())), "words") == account
    assert Account.read(None, "words") == Account("words")


def test_markup_in_the_data_is_text():
    title = "<script>alert('x')</script> & \"more\""
    mail = compose(
        facts(
            findings=(finding(sample=({"title": title[:40], "<b>": None},)),),
            account=Account(title),
            readers=title,
            steps=(Step(title, title),),
            links=(("Log", 'https://x/"><script>'), ("Report", "javascript:alert(1)")),
        )
    )
    assert "<script" not in mail.html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in mail.html
    assert 'href="javascript' not in mail.html
    assert title in mail.text


def test_long_inputs_are_shortened():
    rows = tuple(
        {"key": n, "title": "t" * 500, **{f"c{i}": i for i in range(30)}} for n in range(50)
    )
    long = finding(expected="x" * 10**6, observed="y" * 10**6, relation="r" * 400, sample=rows[:20])
    items = tuple("i" * 10**4 for _ in range(99))
    mail = compose(facts(findings=(long,) * 200, account=Account("p" * 10**6, items)))
    assert len(mail.subject) <= 120
    assert "and 199 more" in mail.subject
    assert max(len(mail.text), len(mail.html)) < 60_000
    assert "(24 more columns)" in mail.text
    # All rows of the first finding, three of the second; more are named, the rest is counted.
    shown = [line.split()[0] for line in mail.text.splitlines() if "ttt" in line]
    assert shown == [*map(str, range(20)), "0", "1", "2"]
    assert "and 198 more, in the report" in mail.text
    one = compose(facts(findings=(long,)))
    assert len(one.subject) <= 120
    assert one.subject.endswith("...")


def test_what_a_failure_s_mail_is_not_about_is_told_in_a_line_each_without_tables():
    beside = [finding(severity="warning", expected=f"w{n}", sample=({"a": 1},)) for n in range(4)]
    days = tuple(f"2026-03-0{n}: 1 listing came late" for n in range(1, 4))
    mail = compose(facts(findings=tuple(beside), reviews=days))
    told = f"  - {E_VIEW}: expected w0; it is broken\n"
    assert f"{told}  and 3 more, in the report\n" in mail.text
    assert f"{days[0]}\nand 2 more: bin/feature-store history\n" in mail.text
    assert "<table>" not in mail.html


def test_of_relations_that_readers_have_a_few_are_named_and_all_are_counted():
    moment = datetime(2026, 6, 29, 3, 21, tzinfo=UTC)
    new = [readable(f"ml.n{n}", True, moment) for n in range(5)]
    old = [readable(f"ml.o{n}", False, moment - timedelta(days=n)) for n in range(9)]
    assert readers_have([*old, *new]) == (
        "new rows of this run, not certified by it: ml.n0, ml.n1 and 3 more.\n"
        "rows of earlier refreshes: ml.o0, ml.o1 and 7 more, the newest of 2026-06-29 03:21 UTC."
    )


def test_the_same_text_stands_in_a_mail_once():
    problem = "The source column iPhone.iphone_ai_enrich.sale_mode is missing"
    cause = Cause.of(NotReady("Not ready:", items=[f"{problem}.", "GRANT is missing."]))
    account = Account(failed=(FailedTask("prepare", cause),), never_ran=("base.x", "base.y"))
    text = compose(facts(account=account)).text
    assert text.startswith(f"prepare failed: {problem}, and 1 more\n")
    assert text.count("sale_mode") == 1
    assert text.count("GRANT is missing.") == 1
    assert "base.x" not in text
    assert "2 tasks did not run." in text
    leak = compose(facts(account=Account("A leak:", ("price is read", "status is read")))).text
    assert leak.count("price is read") == 1
    assert leak.count("status is read") == 1


def test_what_failed_before_there_was_an_account_is_told_by_its_words():
    old = Account.read(None, "Failed: base.x.\n  - base.x: no space left")
    assert compose(facts(account=old)).text.count("no space left") == 1


def test_a_suite_that_lost_the_database_is_named_beside_what_another_found():
    lost = FailedTask("expectations.uniqueness", Cause("connection lost", "CheckInterrupted"))
    broken = FailedTask("expectations.as_of_counts", Cause("1 is broken", "ExpectationsBroken"))
    found = (finding(breaching=3), finding(suite="uniqueness", severity="warning"))
    mail = compose(facts(account=Account(failed=(broken, lost)), findings=found))
    assert "as_of_counts broken, 3 rows of" in mail.subject
    assert "WHAT FAILED\n  uniqueness could not be checked (connection lost)\n" in mail.text
    assert "1 is broken" not in mail.text, "its own finding says more"


def test_an_item_that_the_headline_has_in_part_is_told_whole():
    cause = Cause.of(NotReady("The store cannot be refreshed:", items=["x is bare.\nNext: GRANT"]))
    text = compose(facts(account=Account(failed=(FailedTask("prepare", cause),)))).text
    assert "x is bare.\n" in text.partition("\n")[2]


def test_a_command_stands_alone_in_a_box_and_dark_screens_and_phones_are_thought_of():
    steps = (Step("Look:", "bin/feature-store plan"), Step("Words alone."))
    mail = compose(facts(steps=steps, findings=(finding(sample=({"a": 1},)),)))
    assert re.findall(r"<pre>(.*?)</pre>", mail.html) == ["bin/feature-store plan"]
    assert "\n\nbin/feature-store plan\n" in mail.text
    assert mail.text.index("bin/feature-store") < mail.text.index("BROKEN")
    assert "prefers-color-scheme: dark" in mail.html
    # Wide parts scroll in a box of their own, or break.
    assert re.search(r'<div class="wide"[^>]*>\s*<table>', mail.html)
    assert "pre { white-space: pre-wrap; overflow-wrap: anywhere;" in mail.html


def test_a_cause_is_what_was_announced():
    error = StoreError("The store cannot be refreshed:", items=["a is missing.", "b is missing."])
    assert cause_of(error) == "a is missing, and 1 more"


def test_a_password_that_is_part_of_a_name_breaks_no_command_and_no_link_and_is_told_by_none():
    command = "airflow dags trigger feature_store_refresh"
    at = "https://airflow.example/dags/feature_store_refresh/runs/x"
    given = facts(
        steps=(Step("Of feature_store:", command),),
        links=((RUN_LINK, at),),
        readers="as feature_store said",
    )
    mail = compose(given, lambda text: text.replace("feature_store", "***"))
    for part in (mail.text, mail.html):
        assert command in part
        assert at in part
        assert "Of ***:" in part
        assert "as *** said" in part
    assert mail.link == f"{RUN_LINK}: {at}"


def test_in_a_table_the_store_s_key_leads_and_what_a_row_has_not_got_is_blank():
    rows = ({"a": "x", "listing_id": 7}, {"listing_id": 8, "b": None})
    lines = compose(facts(findings=(finding(sample=rows),), key="listing_id")).text.splitlines()
    at = lines.index("      listing_id  a  b")
    assert lines[at + 1 : at + 3] == ["      7           x", "      8              NULL"]


def test_a_mail_of_another_store_names_it_in_every_command(tmp_path):
    folder = tmp_path / "two & more"
    settings = of_store(Settings(), folder, "bikes")
    look = Step("Look:", "bin/feature-store plan")
    told = compose(facts(steps=(look,), readers="as bin/feature-store status says"))
    mail = of_its_store(told, settings)
    named = f"bin/feature-store --store '{folder}' --connection bikes "
    for text in (mail.text, unescape(mail.html)):
        assert text.count("bin/feature-store ") == text.count(named) == 2
    assert "two & more" not in mail.html
    assert of_its_store(told, Settings()) == told
