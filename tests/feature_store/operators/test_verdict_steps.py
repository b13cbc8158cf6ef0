"""What follows a verdict cannot change it, and nothing of it keeps the rest from happening."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from feature_store.connection import Connection
from feature_store.operators import verdict_steps
from feature_store.operators.verdict_steps import Verdict
from feature_store.settings import Settings


def test_a_report_that_takes_too_long_keeps_nothing_from_happening(
    store: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def write_report(*_: Any) -> None:
        raise AirflowTaskTimeout("Timeout, PID: 1")

    released: list[Connection] = []
    monkeypatch.setattr(verdict_steps, "write_report", write_report)
    monkeypatch.setattr(verdict_steps, "release_lease", lambda c, _: released.append(c))
    run = SimpleNamespace(dag_id="feature_store_refresh", run_id="a run")
    verdict = Verdict(SimpleNamespace(), {"dag_run": run})  # type: ignore[arg-type,typeddict-item]

    verdict._end(store.connection, settings)

    assert "The report could not be written: Timeout" in caplog.text
    assert released == [store.connection]
