"""docker-compose.yaml, run: every service's own command, environment and health check.

No container engine is needed: `stack` starts each service as a process. The tests build on each
other, in this order, on one stack: starting it takes a while.
"""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Refresh, Store
from feature_store.settings import Settings
from sandbox.airflow_api import AirflowApi, wait_until
from sandbox.mailbox import Mailbox

from .conftest import ADDRESS, ODD, store_conninfo
from .rendering import changed, render, values
from .stack import Stack

pytestmark = pytest.mark.timeout(1800)

# The AI table loses its key and gets a row twice, which the refresh itself does not notice.
_BREAK = (
    'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey',
    'INSERT INTO "iPhone".iphone_ai_enrich SELECT a.* FROM "iPhone".iphone_ai_enrich AS a '
    "INNER JOIN ml.tom_features_v1_enriched_ai_clean_mv AS e USING (listing_id) "
    "WHERE a.storage_gb_fixed_ai IS NULL LIMIT 1",
)
_MEND = (
    'DELETE FROM "iPhone".iphone_ai_enrich AS a USING "iPhone".iphone_ai_enrich AS b '
    "WHERE a.listing_id = b.listing_id AND a.ctid > b.ctid",
    'ALTER TABLE "iPhone".iphone_ai_enrich ADD PRIMARY KEY (listing_id)',
)


def task_states(api: AirflowApi, run: str) -> dict[str, str]:
    found = api.call("GET", f"dags/{api.dag_id}/dagRuns/{run}/taskInstances?limit=100")
    return {task["task_id"]: task["state"] for task in found["task_instances"]}


def told_assets(api: AirflowApi, run: str) -> set[str]:
    path = f"assets/events?source_run_id={quote(run)}&limit=100"
    events = api.call("GET", path)["asset_events"]
    return {event["name"] for event in events}


def run_sql(stack: Stack, env: Path, *statements: str) -> None:
    with psycopg.connect(store_conninfo(stack, env)) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_nobody_gets_in_without_the_password(stack: Stack, env: Path) -> None:
    for account in (("admin", "admin"), ("nobody", values(env)["AIRFLOW_ADMIN_PASSWORD"])):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            stack.api(account).token()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{stack.address}/api/v2/dags")


def test_a_second_start_changes_neither_the_store_nor_the_account(stack: Stack) -> None:
    assert stack.output("store-init").endswith("Created the store and stamped its contracts.\n")
    assert "There is a store already: nothing was changed." in stack.once("store-init")
    assert "The roles have what they need." in stack.once("store-roles")
    assert "Created the account admin." in stack.output("airflow-init")
    assert "The account admin is there already." in stack.once("airflow-init")


def test_a_new_password_in_env_holds_with_the_next_start_and_no_log_has_it(
    stack: Stack, env: Path
) -> None:
    new = f"{ODD}, the second"
    stack.configure(render(changed(env, STORE_OWNER_PASSWORD=new)))
    assert stack.once("store-logins") == ""
    assert "There is a store already" in stack.once("store-init")

    logged = stack.server_log("store")
    assert "database system is ready" in logged
    assert not [name for name, value in values(env).items() if "PASSW" in name and value in logged]


def test_a_service_writes_nowhere_but_to_its_volumes(stack: Stack) -> None:
    if not stack.confines:
        pytest.skip("this machine lets nobody mount")
    home = stack.localhost.airflow_home
    told = stack.run(
        "scheduler", ["sh", "-c", "touch dags/mine; touch logs/mine && grep Cap /proc/self/status"]
    )
    assert "Read-only file system" in told
    assert not (home / "dags" / "mine").exists()
    assert (home / "logs" / "mine").exists()
    assert "CapBnd:\t0000000000000000" in told


def test_the_dag_runs_as_a_role_that_can_create_nothing(stack: Stack, env: Path) -> None:
    login = json.loads(stack.environment("scheduler")["AIRFLOW_CONN_FEATURE_STORE"])["login"]
    with (
        psycopg.connect(
            store_conninfo(stack, env), user=login, password=values(env)["STORE_PASSWORD"]
        ) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute("CREATE TABLE ml.mine ()")


def test_once_switched_on_the_dag_runs_by_itself_and_tells_the_assets_as_a_triggered_run_does(
    stack: Stack, api: AirflowApi, store_files: Store, settings: Settings
) -> None:
    wait_until(lambda: bool(api.call("GET", "dags")["dags"]), 200, stack.logs)
    assert api.runs() == {}, "nothing runs before its owner has filled the sources"
    api.call("PATCH", f"dags/{api.dag_id}", {"is_paused": False})
    wait_until(lambda: len(api.runs()) == 1, 200, stack.logs)
    (nightly,) = api.runs()
    assert api.wait_for_run(nightly) == "success"

    api.trigger("by_hand")
    assert api.wait_for_run("by_hand") == "success"

    read = {str(r.name) for r in store_files.relations if r.refresh is Refresh.CONCURRENT}
    for feature_set in read_feature_sets(settings.include_dir):
        read |= {str(feature_set.relation), f"feature_log.{feature_set.name}"}
    assert told_assets(api, nightly) == told_assets(api, "by_hand") == read
    reports = stack.localhost.airflow_home / "feature_store_reports"
    assert len(list(reports.rglob("*.html"))) == 2
    # No service serves logs, which would take the API server's key: the API server reads the files.
    log = api.call("GET", f"dags/{api.dag_id}/dagRuns/by_hand/taskInstances/prepare/logs/1")
    assert "prepare" in str(log["content"])


def test_the_page_shows_what_the_runs_left_and_may_only_look(
    stack: Stack, api: AirflowApi, env: Path
) -> None:
    def page(path: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{stack.address}/feature-store/api/{path}",
            headers={"Authorization": f"Bearer {api.token()}"},
        )
        with urllib.request.urlopen(request) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    assert page("now")["verdict"]["standing"] == "certified"
    latest = page("runs")["runs"][0]
    assert (latest["run_id"], latest["verdict"]) == ("by_hand", "passed")
    run = page(f"run?dag_id={api.dag_id}&run_id=by_hand")
    assert {task["task_id"] for task in run["tasks"]} == set(task_states(api, "by_hand"))
    traced = page("features/tom_features_v1/price")["lineage"]
    assert traced["run_id"].startswith("scheduled__"), "the first run that found it so"

    login = json.loads(stack.environment("api-server")["AIRFLOW_CONN_FEATURE_STORE"])["login"]
    password = values(env)["STORE_PAGE_PASSWORD"]
    with (
        psycopg.connect(store_conninfo(stack, env), user=login, password=password) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute("SELECT FROM ml.tom_features_v1_enriched_ai_clean_mv")


def test_a_run_that_fails_sends_one_mail_and_tells_no_asset(
    stack: Stack, env: Path, api: AirflowApi, mailbox: Mailbox
) -> None:
    assert mailbox.alarms() == []
    run_sql(stack, env, *_BREAK)

    api.trigger("broken")

    assert api.wait_for_run("broken") == "failed"
    failed = {task for task, state in task_states(api, "broken").items() if state == "failed"}
    assert failed == {
        "expectations.as_of_counts",
        "expectations.uniqueness",
        "assert_contract",
    }
    assert told_assets(api, "broken") == set()
    wait_until(lambda: bool(mailbox.alarms()), 120, stack.logs)
    (file,) = mailbox.alarms()
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert mail["To"] == values(env)["FEATURE_STORE_MAIL_TO"]
    assert mail["From"] == values(env)["FEATURE_STORE_MAIL_FROM"]
    assert "uniqueness broken" in mail["Subject"]
    body = mail.get_body(("plain",))
    assert body is not None
    assert f"{ADDRESS}/dags/{api.dag_id}/runs/broken/" in body.get_content()


@pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server here")
def test_with_the_celery_profile_the_workers_run_the_tasks(
    stack: Stack, env: Path, api: AirflowApi
) -> None:
    run_sql(stack, env, *_MEND)
    stack.stop("scheduler")
    changed(env, EXECUTOR="CeleryExecutor")
    stack.configure(render(env, ("store", "mail", "celery")))
    stack.up("redis", "worker", "scheduler")

    api.trigger("on_workers")

    assert api.wait_for_run("on_workers") == "success"
    tasks = len(task_states(api, "on_workers"))
    # Airflow knows of the last task's success a moment before the worker prints it.
    wait_until(lambda: stack.output("worker").count("succeeded in") == tasks, 60, stack.logs)
