"""Settings: read from FEATURE_STORE_ variables, refused by name when they cannot be used."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from feature_store.errors import BadInput
from feature_store.settings import PREFIX, Settings, read_settings


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
        "FEATURE_STORE_LEASE_GRACE": "2",
        "FEATURE_STORE_LEASE_POLL": "3",
        "FEATURE_STORE_SMTP_CONN_ID": "mailer",
        "FEATURE_STORE_MAIL_TO": "Ann <ann@example.org>, bo@example.org",
        "FEATURE_STORE_MAIL_FROM": "store@example.org",
        "FEATURE_STORE_LINKS_BASE": "https://airflow.example",
        "FEATURE_STORE_REPORT_DIR": "/reports",
        "FEATURE_STORE_SETTLING_DAYS": "4",
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
        lease_grace=2,
        lease_poll=3,
        settling_days=4,
        keep_days=0,
        keep_report_days=5,
        smtp_conn_id="mailer",
        mail_to="Ann <ann@example.org>, bo@example.org",
        mail_from="store@example.org",
        links_base="https://airflow.example",
        report_dir=Path("/reports"),
        include_dir=Path("/elsewhere"),
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
    ("variable", "value", "least"),
    [
        ("FEATURE_STORE_LOCK_TIMEOUT", 0, 1),
        ("FEATURE_STORE_STATEMENT_TIMEOUT", -1, 0),
        ("FEATURE_STORE_LEASE_GRACE", 0, 1),
        ("FEATURE_STORE_LEASE_POLL", -5, 1),
        ("FEATURE_STORE_SETTLING_DAYS", -1, 0),
        ("FEATURE_STORE_KEEP_DAYS", -1, 0),
        ("FEATURE_STORE_KEEP_REPORT_DAYS", -1, 0),
    ],
)
def test_a_number_that_is_too_small_is_named_with_the_least(variable, value, least):
    with pytest.raises(BadInput) as caught:
        read_settings({variable: str(value)})
    assert caught.value.problem == f"{variable} is {value}; expected {least} or more."


@pytest.mark.parametrize("variable", ["FEATURE_STORE_ZONE", "FEATURE_STORE_SCHEDULE_ZONE"])
@pytest.mark.parametrize("zone", ["", "Europe", "Mars/Olympus", "../etc/passwd", "UTC+25", "a\0b"])
def test_a_zone_that_does_not_exist_is_named(variable, zone):
    with pytest.raises(BadInput) as caught:
        read_settings({variable: zone})
    assert caught.value.problem == f"{variable} is {zone!r}; expected a time zone's name."
    assert caught.value.next_step == "Give a name such as UTC or Europe/Oslo."


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FEATURE_STORE_MAIL_TO", "nobody"),
        ("FEATURE_STORE_MAIL_TO", "a@example.org\nBcc: c@example.org"),
        ("FEATURE_STORE_MAIL_FROM", "a@example.org, b@example.org"),
        ("FEATURE_STORE_LINKS_BASE", "javascript:alert(1)"),
        ("FEATURE_STORE_SMTP_CONN_ID", ""),
    ],
)
def test_what_would_break_a_mail_is_refused_by_name(variable, text):
    with pytest.raises(BadInput, match=f"^{variable} is "):
        read_settings({variable: text})
