"""Whose secrets are not known cannot be hidden, so that is said."""

from __future__ import annotations

import logging

from airflow.sdk import BaseHook

from feature_store.reporting.secrets import hide, know_secrets


def test_the_password_of_a_connection_is_hidden(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_KNOWN", "postgres://ann:tiger-lily@localhost/x")
    know_secrets("known")
    assert "tiger-lily" not in hide("it said tiger-lily")
    assert caplog.records == []


def test_a_connection_that_is_not_there_has_no_secrets(caplog):
    caplog.set_level(logging.INFO)
    know_secrets("not_there")
    assert caplog.records == []


def test_one_that_cannot_be_looked_up_is_told(monkeypatch, caplog):
    def unreachable(_: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(BaseHook, "get_connection", unreachable)
    know_secrets("far")
    assert "The secrets of the connection 'far' are not known: no route to host" in caplog.text
