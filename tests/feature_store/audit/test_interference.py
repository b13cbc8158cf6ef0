"""A refresh by hand in the middle of a run is told as that, and not as a fault of the data."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_store.audit.interference import check_untouched
from feature_store.audit.lease import Lease, RunKey, take_lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.declarations.history_series import read_history
from feature_store.declarations.store_definition import Store
from feature_store.errors import Interfered
from feature_store.operators import suite_steps
from feature_store.operators.tasks import SuiteOperator
from feature_store.refresh.refresh import refresh
from feature_store.relation_name import Name
from feature_store.reporting.mail.run_facts import FailedRun, read_facts
from feature_store.reporting.run.account import Account, Cause, FailedTask
from feature_store.settings import Settings
from feature_store.validation.history.judgement import judge_history

_RUN = RunKey("feature_store_refresh", "a run")
A, D3 = Name("ml", "tom_features_v1_mv"), Name("ml", "sold_prices_v1_mv")
_SALE = """
INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, price, edited_date,
    last_seen, sold_date, sold_price)
VALUES (1, 15, 128, 5000, '2026-01-01 12:00+00', '2026-01-02', '2026-01-02', 4900)
"""
Session = Connection


@pytest.fixture
def store(store_database: str, settings: Settings) -> Any:
    with psycopg.connect(store_database, autocommit=True) as connection:
        pin(connection, settings, "tests")
        connection.execute(_SALE)
        yield connection


@pytest.fixture
def lease(store: Session, store_files: Store) -> Lease:
    """The lease of a run that has refreshed everything."""
    lease = take_lease(store, _RUN, lambda _: True, timedelta(0))
    open_run(store, _RUN, "scheduled", date(2026, 6, 30), "UTC")
    for relation in store_files.refreshed:
        refresh(store, relation, lease, "UTC")
    return lease


@pytest.fixture
def context() -> Any:
    left: dict[str, Any] = {}
    ti = SimpleNamespace(
        xcom_push=lambda key, value: left.update({key: value}),
        left=left,
        get_dagrun_state=lambda *_: "running",
    )
    run = SimpleNamespace(dag_id=_RUN.dag_id, run_id=_RUN.run_id)
    return {"ti": ti, "dag_run": run, "params": {}}


def _by_hand(store: Session, name: Name, how: str = "") -> None:
    store.execute(f"REFRESH MATERIALIZED VIEW {how} {name}".encode())


@pytest.mark.parametrize(("layer", "how"), [(D3, ""), (A, "CONCURRENTLY")])
def test_a_suite_checks_nothing_of_layers_that_were_refreshed_by_hand(
    store: Session, store_database: str, lease: Lease, context: Any, airflow_conn: Any,
    layer: Name, how: str,
) -> None:  # fmt: skip
    store.execute('UPDATE "iPhone".iphone_listings SET price = 6000, sold_price = 5900')
    _by_hand(store, layer, how)
    airflow_conn(store_database)
    with pytest.raises(AirflowFailException) as caught:
        SuiteOperator(task_id="as_of_counts", suite="as_of_counts").execute(context)
    told = f"{layer} was refreshed or rewritten by hand since a run refreshed it"
    assert told in str(caught.value)
    assert f"Next: Clear the task of {layer} with what follows it" in str(caught.value)
    assert context["ti"].left["cause"]["text"] == told
    assert not store.execute(
        "SELECT FROM feature_store_audit.proof_log WHERE suite_event IS NOT NULL"
    ).fetchall()


def test_a_suite_says_nothing_of_layers_that_are_refreshed_by_hand_meanwhile(
    store: Session, store_database: str, lease: Lease, context: Any, airflow_conn: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def run_suite(*_: Any) -> list[Any]:
        _by_hand(store, D3)
        return []

    monkeypatch.setattr(suite_steps, "run_suite", run_suite)
    monkeypatch.setattr(suite_steps, "record", lambda *_: pytest.fail("it recorded its findings"))
    airflow_conn(store_database)
    with pytest.raises(AirflowFailException, match=f"{D3} was refreshed"):
        SuiteOperator(task_id="uniqueness", suite="uniqueness").execute(context)


def test_history_is_not_judged_of_layers_that_were_refreshed_by_hand(
    store: Session, store_files: Store, lease: Lease, settings: Settings
) -> None:
    """Else a person would be asked about days that nobody changed, and be told of leaks."""
    layers = read_history(settings.include_dir, store_files)
    judge_history(store, layers, lease, date(2026, 6, 30), settings)
    store.execute('UPDATE "iPhone".iphone_listings SET sold_price = 4800')
    _by_hand(store, D3)
    with pytest.raises(Interfered, match="History was not checked"):
        judge_history(store, layers, lease, date(2026, 6, 30), settings)
    assert store.execute("SELECT FROM feature_store_audit.history_finding").fetchall() == []


@pytest.mark.parametrize(
    "statement", [f"GRANT SELECT ON {D3} TO public", f"ANALYZE {D3}", f"VACUUM {D3}"]
)
def test_what_changes_no_row_is_no_interference(
    store: Session, store_files: Store, lease: Lease, statement: str
) -> None:
    store.execute(statement.encode())
    check_untouched(store, [r.name for r in store_files.refreshed], "The suite")


def test_a_layer_that_is_gone_is_named(store: Session, lease: Lease) -> None:
    store.execute(f"DROP MATERIALIZED VIEW {D3} CASCADE".encode())
    with pytest.raises(Interfered, match=f"{D3} was refreshed or rewritten"):
        check_untouched(store, [D3], "The suite")


def test_the_mail_says_to_clear_the_layer_and_not_the_suite(store: Session, lease: Lease) -> None:
    _by_hand(store, D3)
    with pytest.raises(Interfered) as caught:
        check_untouched(store, [A, D3], "The suite")
    suite = FailedTask("expectations.uniqueness", Cause.of(caught.value))
    run = FailedRun(
        _RUN.dag_id,
        _RUN.run_id,
        Account(failed=(suite,)),
        logical_date=datetime(2026, 6, 30, tzinfo=UTC),
        tasks=("base.sold_prices_v1_mv", suite.task_id),
    )
    steps = read_facts(run, store, Settings().include_dir).steps
    assert "--task-regex base.sold_prices_v1_mv" in steps[-1].command
