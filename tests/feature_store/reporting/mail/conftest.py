"""A mail server for the tests of mails."""

from __future__ import annotations

import pytest

from sandbox.mailbox import Mailbox


@pytest.fixture
def mailbox(tmp_path, monkeypatch):
    with Mailbox(tmp_path / "mails") as running:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", running.airflow_connection)
        monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "Ann <ann@example.org>, bo@example.org")
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "store@example.org")
        yield running


@pytest.fixture(autouse=True)
def secrets_of_other_tests_are_forgotten():
    """Airflow hides what it once knew as secret for as long as the process lives."""
    from airflow.sdk._shared.secrets_masker import reset_secrets_masker

    reset_secrets_masker()
