"""Each service has exactly the secrets and the networks that it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from .rendering import PROFILES, Refused, changed, new_env, render
from .secrecy import WHO_KNOWS, WHO_KNOWS_WITH_WORKERS, who_knows

# Which services are in which network.
NETWORKS = {
    "metadata": {
        *("metadata", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer")
    },
    "execution": {"api-server", "scheduler", "worker"},
    "store": {
        *("store", "store-logins", "store-init", "store-roles"),
        *("api-server", "scheduler", "worker"),
    },
    "mail": {"mailpit", "scheduler", "worker"},
    "queue": {"redis", "worker"},
}
# Only these networks reach the outside: the user's own servers and this machine's ports.
OPEN_NETWORKS = {"store", "mail", "queue"}


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return new_env(tmp_path)


@pytest.mark.parametrize(
    ("executor", "expected"),
    [("LocalExecutor", WHO_KNOWS), ("CeleryExecutor", WHO_KNOWS_WITH_WORKERS)],
)
def test_every_service_has_the_secrets_that_it_needs_and_no_other(env, executor, expected):
    config = render(changed(env, EXECUTOR=executor), PROFILES["everything"])

    assert who_knows(env, config["services"]) == expected


def test_another_executor_than_these_two_starts_nothing(env):
    with pytest.raises(Refused, match='service "FastExecutor" not found'):
        render(changed(env, EXECUTOR="FastExecutor"))


@pytest.mark.parametrize("executor", ["LocalExecutor", "CeleryExecutor"])
def test_services_share_a_network_only_where_they_talk(env, executor):
    config = render(changed(env, EXECUTOR=executor), PROFILES["everything"])

    found = {
        network: {n for n, s in config["services"].items() if network in s["networks"]}
        for network in config["networks"]
    }
    expected = {network: set(members) for network, members in NETWORKS.items()}
    if executor == "CeleryExecutor":
        for network in ("execution", "store", "mail"):
            expected[network] -= {"scheduler"}
        expected["queue"] |= {"scheduler"}
    assert found == expected
    assert {n for n, made in config["networks"].items() if not made.get("internal")} == (
        OPEN_NETWORKS
    )
