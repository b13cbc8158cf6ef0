"""What Airflow's OpenLineage provider sends about each task, written into a file."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from tests.dags.conftest import load_dag
from tests.relations import E_AI as _E_AI

_F2, _F3 = (
    "feature_store.device_meta_gmc_stats_t0_v1_mv",
    "feature_store.device_meta_encoded_t0_v1",
)


@pytest.fixture
def send(store_database, airflow_conn, tmp_path, monkeypatch):
    """Let the provider ask a task that has ended; returns the event that it sends."""
    pytest.importorskip(
        "airflow.providers.openlineage", reason="its provider is an extra, and not in the lock"
    )
    from airflow.providers.openlineage.extractors.manager import ExtractorManager
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

    sent = tmp_path / "events"
    transport = {"type": "file", "log_file_path": str(sent), "append": True}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    airflow_conn(store_database)
    adapter = OpenLineageAdapter()

    def ask_and_send(task: Any, state: str = "success") -> dict[str, Any]:
        told = ExtractorManager().extract_metadata(
            dagrun=Mock(run_id="night 1"), task=task, task_instance_state=state, task_instance=None
        )
        adapter.complete_task(
            run_id=str(uuid4()),
            job_name=f"{task.dag_id}.{task.task_id}",
            end_time=datetime.now(UTC).isoformat(),
            task=told,
            nominal_start_time=None,
            nominal_end_time=None,
            owners=None,
            tags=None,
            job_description=None,
        )
        event: dict[str, Any] = json.loads(sent.read_text().splitlines()[-1])
        return event

    return ask_and_send


def _names(datasets: list[dict[str, Any]]) -> set[str]:
    return {dataset["name"].partition(".")[2] for dataset in datasets}


def test_each_refresh_is_a_job_with_datasets_and_column_lineage(send, store_files):
    dag = load_dag()
    events = {}
    began = time.monotonic()
    for relation in store_files.refreshed:
        task = dag.get_task(f"{relation.refresh.value}.{relation.name.relation}")
        events[str(relation.name)] = event = send(task)
        assert _names(event["outputs"]) == {str(relation.name)}
        assert event["inputs"]
        assert str(relation.name) not in _names(event["inputs"])
    # The provider gives each task ten seconds.
    assert (time.monotonic() - began) / len(events) < 5

    (e_ai,) = events[_E_AI]["outputs"]
    assert e_ai["namespace"].startswith("postgres://localhost:")
    assert {f["name"]: f["type"] for f in e_ai["facets"]["schema"]["fields"]}["price"] == "integer"
    (price,) = e_ai["facets"]["columnLineage"]["fields"]["price"]["inputFields"]
    assert price["name"].endswith(".ml.tom_features_v1_enriched_speed_mv")
    assert price["field"] == "price"
    assert price["transformations"][0]["type"] == "DIRECT"


def test_a_set_that_is_a_view_is_told_of_by_the_last_task(send):
    """No task refreshes a view."""
    event = send(load_dag().get_task("assert_contract"))
    assert _names(event["outputs"]) == {_F3}
    assert _F2 in _names(event["inputs"])


def test_what_failed_has_written_nothing(send, airflow_conn):
    airflow_conn("host=127.0.0.1 port=1 user=nobody dbname=nothing")
    event = send(load_dag().get_task("assert_contract"), "failed")
    assert (event["inputs"], event["outputs"]) == ([], [])
