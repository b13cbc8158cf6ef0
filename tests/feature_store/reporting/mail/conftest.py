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
