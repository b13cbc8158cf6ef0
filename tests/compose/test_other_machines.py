"""Nothing crosses a network without TLS, and a worker elsewhere gets only what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from .rendering import (
    CONNECTIONS,
    FILE,
    PROFILES,
    SECRETS,
    TLS_FILE,
    WORKER_FILE,
    Refused,
    changed,
    new_env,
    new_worker_env,
    render,
    values,
)
from .secrecy import QUEUE, TASKS, WHO_KNOWS, WHO_KNOWS_WITH_WORKERS, who_knows


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return new_env(tmp_path)


def test_every_port_is_of_this_machine_alone_whatever_env_says(env):
    services = render(changed(env, TLS_ADDRESS="10.0.0.1"), PROFILES["everything"])["services"]
    ports = {n: p for n, s in services.items() for p in s.get("ports", [])}
    assert ports.keys() == {"api-server", "store", "mailpit", "redis"}
    assert {p["host_ip"] for p in ports.values()} == {"127.0.0.1"}


def test_another_address_without_tls_is_refused_before_anything_starts(env):
    with pytest.raises(Refused, match=r"BIND_ADDRESS needs TLS, see the end of \.env\.example"):
        render(changed(env, BIND_ADDRESS="10.0.0.1"))


@pytest.mark.parametrize("name", ["TLS_FOLDER", "TLS_ADDRESS"])
def test_tls_without_certificates_or_address_is_refused(env, name):
    known = {"TLS_FOLDER": str(env.parent), "TLS_ADDRESS": "10.0.0.1", name: None}
    with pytest.raises(Refused, match=f"{name} is missing a value"):
        render(changed(env, **known), file=f"{FILE}:{TLS_FILE}")


def test_with_tls_other_machines_reach_the_three_that_speak_it_and_the_key_is_theirs(env):
    changed(env, TLS_FOLDER=str(env.parent), TLS_ADDRESS="10.0.0.1", EXECUTOR="CeleryExecutor")
    services = render(env, PROFILES["everything"], file=f"{FILE}:{TLS_FILE}")["services"]

    published = {
        (n, p["published"], p["target"])
        for n, s in services.items()
        for p in s.get("ports", [])
        if p["host_ip"] != "127.0.0.1"
    }
    assert published == {
        *(("api-server", "8080", 8080), ("store", "5432", 5432), ("redis", "6379", 6380))
    }
    mounts = {
        n: {m["source"] for m in s.get("volumes", []) if m["target"].startswith("/tls")}
        for n, s in services.items()
    }
    folder = str(env.parent)
    assert {n for n, found in mounts.items() if folder in found} == {"api-server", "store", "redis"}
    assert {n for n, found in mounts.items() if f"{folder}/ca.pem" in found} == {
        *("scheduler", "worker")
    }
    assert who_knows(env, services) == WHO_KNOWS_WITH_WORKERS


def test_a_workers_own_file_has_what_its_service_needs_and_no_secret_more(env):
    control = render(changed(env, TLS_ADDRESS="10.0.0.1", EXECUTOR="CeleryExecutor"), ["celery"])
    mine = new_worker_env(env)

    services = render(mine, file=WORKER_FILE)["services"]
    (worker,) = services.values()

    assert {*SECRETS, *CONNECTIONS} & values(mine).keys() == {*TASKS.values(), *QUEUE.values()}
    assert who_knows(env, services)["worker"] == WHO_KNOWS["worker"]
    assert mine.stat().st_mode & 0o777 == 0o600
    # The same names and settings as a worker beside the scheduler, but by TLS.
    there = control["services"]["worker"]
    differ = {
        name
        for name in there["environment"].keys() | worker["environment"].keys()
        if there["environment"].get(name) != worker["environment"].get(name)
    }
    assert differ == {
        *("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__API__SSL_CA_FILE"),
        *("AIRFLOW__API__CLIENT_USE_PUBLIC_CERTS", "PGSSLMODE", "PGSSLROOTCERT", *QUEUE),
    }
    assert {s.split("=")[1] for s in worker["extra_hosts"]} == {"10.0.0.1"}


@pytest.mark.parametrize("name", ["TLS_CA", "TLS_ADDRESS", "REDIS_PASSWORD", "STORE_PASSWORD"])
def test_without_what_it_needs_a_worker_elsewhere_does_not_start(env, name):
    mine = new_worker_env(changed(env, TLS_ADDRESS="10.0.0.1"))
    with pytest.raises(Refused, match=rf"{name}.*run bin/new-env"):
        render(changed(mine, **{name: None}), file=WORKER_FILE)
