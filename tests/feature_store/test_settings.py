"""Settings: read from FEATURE_STORE_ variables, refused by name when they cannot be used."""

from __future__ import annotations

import itertools
from dataclasses import fields
from inspect import cleandoc
from pathlib import Path

import psycopg
import pytest

from feature_store.database.session import pin
from feature_store.errors import BadInput
from feature_store.settings import _BOUNDS, PREFIX, Settings, read_settings
from tests.conftest import ROOT


def test_without_variables_the_defaults_hold():
    settings = read_settings({})
    assert settings == Settings()
    assert (settings.conn_id, settings.zone) == ("feature_store", "UTC")
    assert (settings.schedule, settings.schedule_zone) == ("20 3 * * *", "Europe/Oslo")
    assert (settings.include_dir / "sql").is_dir()


def test_every_setting_is_read_from_its_variable():
    environment = {
        "FEATURE_STORE_CONN_ID": "warehouse",
        "FEATURE_STORE_ZONE": "Pacific/Auckland",
        "FEATURE_STORE_SCHEDULE": "0 1 * * *",
        "FEATURE_STORE_SCHEDULE_ZONE": "UTC",
        "FEATURE_STORE_LOCK_TIMEOUT": "1",
        "FEATURE_STORE_STATEMENT_TIMEOUT": "0",
        "FEATURE_STORE_TASK_TIMEOUT": "60",
        "FEATURE_STORE_CONNECT_TIMEOUT": "4",
        "FEATURE_STORE_SILENCE_TIMEOUT": "6",
        "FEATURE_STORE_IDLE_TRANSACTION_TIMEOUT": "9",
        "FEATURE_STORE_WORK_MEM": "8MB",
        "FEATURE_STORE_LEASE_GRACE": "2",
        "FEATURE_STORE_LEASE_POLL": "11",
        "FEATURE_STORE_SMTP_CONN_ID": "mailer",
        "FEATURE_STORE_MAIL_TO": "Ann <ann@example.org>, bo@example.org",
        "FEATURE_STORE_NOTIFY_CONN_ID": "team",
        "FEATURE_STORE_MAIL_FROM": "store@example.org",
        "FEATURE_STORE_MAIL_TIMEOUT": "7",
        "FEATURE_STORE_LINKS_BASE": "https://airflow.example",
        "FEATURE_STORE_RUNBOOK": "https://git.example/operations.md",
        "FEATURE_STORE_REPORT_DIR": "/reports",
        "FEATURE_STORE_SETTLING_DAYS": "4",
        "FEATURE_STORE_SKEW_DAYS": "8",
        "FEATURE_STORE_KEEP_DAYS": "0",
        "FEATURE_STORE_KEEP_REPORT_DAYS": "5",
        "FEATURE_STORE_INCLUDE_DIR": "/elsewhere",
    }
    assert set(environment) == {PREFIX + f.name.upper() for f in fields(Settings)}
    assert read_settings(environment) == Settings(
        conn_id="warehouse",
        zone="Pacific/Auckland",
        schedule="0 1 * * *",
        schedule_zone="UTC",
        lock_timeout=1,
        statement_timeout=0,
        task_timeout=60,
        connect_timeout=4,
        silence_timeout=6,
        idle_transaction_timeout=9,
        work_mem="8MB",
        lease_grace=2,
        lease_poll=11,
        settling_days=4,
        skew_days=8,
        keep_days=0,
        keep_report_days=5,
        smtp_conn_id="mailer",
        mail_to="Ann <ann@example.org>, bo@example.org",
        notify_conn_id="team",
        mail_from="store@example.org",
        mail_timeout=7,
        links_base="https://airflow.example",
        runbook="https://git.example/operations.md",
        report_dir=Path("/reports"),
        include_dir=Path("/elsewhere"),
    )


@pytest.mark.parametrize("size", ["", "64", "0MB", "64 MB", "1GB", "64mb", "99999MB"])
def test_a_memory_that_is_no_number_of_megabytes_is_named(size):
    with pytest.raises(BadInput) as caught:
        read_settings({"FEATURE_STORE_WORK_MEM": size})
    assert caught.value.problem == (
        f"FEATURE_STORE_WORK_MEM is {size!r}; expected a size such as 64MB, 1MB to 9999MB."
    )


def test_variables_of_others_are_ignored():
    assert (
        read_settings({"FEATURESTORE_ZONE": "x", "PATH": "/", "feature_store_x": ""}) == Settings()
    )


def test_an_unknown_setting_is_named_with_those_that_exist():
    with pytest.raises(BadInput) as caught:
        read_settings({"FEATURE_STORE_ZONES": "UTC", "FEATURE_STORE_A": "1"})
    assert caught.value.problem == "Unknown setting FEATURE_STORE_A, FEATURE_STORE_ZONES."
    for f in fields(Settings):
        assert PREFIX + f.name.upper() in (caught.value.next_step or "")


@pytest.mark.parametrize("text", ["", "ten", "1.5", "10s"])
def test_a_number_that_is_none_is_named_with_what_was_given(text):
    with pytest.raises(BadInput) as caught:
        read_settings({"FEATURE_STORE_LOCK_TIMEOUT": text})
    assert caught.value.problem == (
        f"FEATURE_STORE_LOCK_TIMEOUT is {text!r}; expected a whole number."
    )


@pytest.mark.parametrize(
    ("variable", "least", "most"),
    [
        ("FEATURE_STORE_LOCK_TIMEOUT", 1, 2147483),
        ("FEATURE_STORE_STATEMENT_TIMEOUT", 0, 2147483),
        ("FEATURE_STORE_TASK_TIMEOUT", 0, 2147483),
        ("FEATURE_STORE_CONNECT_TIMEOUT", 2, 3600),
        ("FEATURE_STORE_SILENCE_TIMEOUT", 3, 3600),
        ("FEATURE_STORE_IDLE_TRANSACTION_TIMEOUT", 0, 2147483),
        ("FEATURE_STORE_LEASE_GRACE", 1, 2147483),
        ("FEATURE_STORE_MAIL_TIMEOUT", 1, 600),
        ("FEATURE_STORE_LEASE_POLL", 10, 2147483),
        ("FEATURE_STORE_SETTLING_DAYS", 0, 36500),
        ("FEATURE_STORE_SKEW_DAYS", 1, 36500),
        ("FEATURE_STORE_KEEP_DAYS", 0, 36500),
        ("FEATURE_STORE_KEEP_REPORT_DAYS", 0, 36500),
    ],
)
def test_a_number_out_of_bounds_is_named_with_its_bounds(variable, least, most):
    for value in (least - 1, most + 1, 10**30):
        with pytest.raises(BadInput) as caught:
            read_settings({variable: str(value)})
        assert caught.value.problem == f"{variable} is {value}; expected {least} to {most}."
    for value in (least, most):
        assert read_settings({variable: str(value)})


def test_the_record_is_kept_for_a_month_at_the_least():
    for days in ("1", "29"):
        with pytest.raises(BadInput, match=r"expected 0 \(keep forever\) or at least 30"):
            read_settings({"FEATURE_STORE_KEEP_DAYS": days})
    assert read_settings({"FEATURE_STORE_KEEP_DAYS": "30"}).keep_days == 30


def test_the_longest_timeouts_are_what_the_server_takes(empty_db):
    longest = read_settings(
        {
            "FEATURE_STORE_LOCK_TIMEOUT": "2147483",
            "FEATURE_STORE_STATEMENT_TIMEOUT": "2147483",
            "FEATURE_STORE_IDLE_TRANSACTION_TIMEOUT": "2147483",
            "FEATURE_STORE_SILENCE_TIMEOUT": "3600",
        }
    )
    pin(empty_db.connection, longest, "tests")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        empty_db.run("SET lock_timeout = '2147484s'")


@pytest.mark.parametrize("variable", [PREFIX + f.name.upper() for f in fields(Settings)])
def test_what_is_no_text_that_could_be_meant_is_refused_by_name(variable):
    for text, words in (
        ("a\0b", "is 'a\\x00b', which contains a zero byte."),
        ("a\udcff", "is 'a\\udcff', which is not UTF-8."),
        ("9" * 5_000, "has 5,000 characters; expected at most 4,096."),
        (" " * 100_000, "has 100,000 characters; expected at most 4,096."),
    ):
        with pytest.raises(BadInput) as caught:
            read_settings({variable: text})
        assert caught.value.problem == f"{variable} {words}"


@pytest.mark.parametrize("variable", ["FEATURE_STORE_INCLUDE_DIR", "FEATURE_STORE_REPORT_DIR"])
def test_a_folder_that_is_empty_is_not_this_one(variable):
    for text in ("", " "):
        with pytest.raises(BadInput, match=f"^{variable} is '{text}'; expected a folder"):
            read_settings({variable: text})


def test_a_home_of_nobody_is_kept_as_written(monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", "~no-such-user/airflow")
    assert Settings().report_dir == Path("~no-such-user/airflow/feature_store_reports")


@pytest.mark.parametrize("text", ["0 3 31 2 *", "0 3 30 2 *", "0 3 31 4,6 *"])
def test_a_schedule_of_days_that_never_come_is_refused(text):
    with pytest.raises(BadInput) as caught:
        read_settings({"FEATURE_STORE_SCHEDULE": text})
    assert caught.value.problem == f"FEATURE_STORE_SCHEDULE is {text!r}; there is no such day."


@pytest.mark.parametrize("text", ["0 3 29 2 *", "0 3 31 * *", "@daily", "0 3 31 2 1"])
def test_a_schedule_of_days_that_come_seldom_is_taken(text):
    assert read_settings({"FEATURE_STORE_SCHEDULE": text}).schedule == text


@pytest.mark.parametrize("text", ["", "nightly", "61 3 * * *", "3 * * *"])
def test_a_schedule_that_cron_would_not_take_is_named(text):
    with pytest.raises(BadInput) as caught:
        read_settings({"FEATURE_STORE_SCHEDULE": text})
    assert caught.value.problem == (
        f"FEATURE_STORE_SCHEDULE is {text!r}; expected a cron schedule."
    )


@pytest.mark.parametrize("variable", ["FEATURE_STORE_ZONE", "FEATURE_STORE_SCHEDULE_ZONE"])
@pytest.mark.parametrize("zone", ["", "Europe", "Mars/Olympus", "../etc/passwd", "UTC+25"])
def test_a_zone_that_does_not_exist_is_named(variable, zone):
    with pytest.raises(BadInput) as caught:
        read_settings({variable: zone})
    assert caught.value.problem == f"{variable} is {zone!r}; expected a time zone's name."
    assert caught.value.next_step == "Use a name such as UTC or Europe/Oslo."


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FEATURE_STORE_MAIL_TO", "nobody"),
        ("FEATURE_STORE_NOTIFY_CONN_ID", "https://hooks.example.org/services/T B"),
        ("FEATURE_STORE_MAIL_TO", "a@example.org\nBcc: c@example.org"),
        ("FEATURE_STORE_MAIL_FROM", "a@example.org, b@example.org"),
        *itertools.product(
            ("FEATURE_STORE_MAIL_TO", "FEATURE_STORE_MAIL_FROM"),
            (
                "bjørn@finn.no",
                "ops@bjørn.no",
                "Ops [night] <ops@example.org>",
                "Ann (dev <ann@example.org>",
                "Ann; <ann@example.org>",
                '"Ann <ann@example.org>',
                "Ann\\ <ann@example.org>",
                "(ann)@example.org",
                "ann@example.",
            ),
        ),
        ("FEATURE_STORE_MAIL_TO", "ann@example.org, Ann (dev <ann@example.org>"),
        ("FEATURE_STORE_LINKS_BASE", "javascript:alert(1)"),
        ("FEATURE_STORE_RUNBOOK", "docs/operations.md"),
        ("FEATURE_STORE_SMTP_CONN_ID", ""),
        ("FEATURE_STORE_CONN_ID", ""),
    ],
)
def test_what_would_break_a_mail_or_a_connection_is_refused_by_name(variable, text):
    with pytest.raises(BadInput, match=f"^{variable} is "):
        read_settings({variable: text})


@pytest.mark.parametrize(
    "text",
    ["", "Bjørn <ann@example.org>", '"Ops [night]" <ops@example.org>', "A. B (x) <ann@[10.0.0.1]>"],
)
def test_an_address_that_mails_reach_is_taken_as_it_is_written(text):
    assert read_settings({"FEATURE_STORE_MAIL_FROM": text}).mail_from == text
    several = f"{text}, bo@example.org" if text else text
    assert read_settings({"FEATURE_STORE_MAIL_TO": several}).mail_to == several


_DOCUMENTED = [
    [cell.strip() for cell in line.strip("| ").split("|")]
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines()
    if line.startswith(f"| `{PREFIX}")
]


class TestTheDocumentedTable:
    """docs/settings.md has every setting, in order, with its default: it cannot drift."""

    def test_it_has_every_setting_in_the_order_of_the_code(self):
        assert [row[0] for row in _DOCUMENTED] == [
            f"`{PREFIX}{f.name.upper()}`" for f in fields(Settings)
        ]

    def test_its_defaults_are_those_of_the_code(self):
        elsewhere = {  # the words for a default that is no plain value
            "include_dir": "`include` beside `plugins`",
            "report_dir": "`$AIRFLOW_HOME/feature_store_reports`",
            "mail_to": "nobody",
            "notify_conn_id": "none",
            "mail_from": "the connection's",
            "links_base": "Airflow's own",
            "runbook": "no link",
        }
        shown = {f.name: row[1] for f, row in zip(fields(Settings), _DOCUMENTED, strict=True)}
        assert shown == {f.name: elsewhere.get(f.name, f"`{f.default}`") for f in fields(Settings)}
        empty = {f.name for f in fields(Settings) if f.default == ""}
        assert empty == {"mail_to", "mail_from", "notify_conn_id", "links_base", "runbook"}

    def test_its_bounds_are_those_of_the_code(self):
        shown = {row[0].strip("`"): row[2] for row in _DOCUMENTED}
        for name, (least, most) in _BOUNDS.items():
            assert shown[PREFIX + name.upper()].endswith(f"{least:,} to {most:,}")

    def test_every_setting_is_explained_in_the_code_too(self):
        # Python 3.13 takes the indentation off by itself.
        explained = cleandoc(Settings.__doc__ or "")
        for f in fields(Settings):
            assert f"\n    {f.name}: " in explained
