"""docker-compose.tls.yaml, run: to other machines its services speak TLS and nothing else."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sandbox.mailbox import Mailbox
from sandbox.port import free_port
from sandbox.programs import binaries, hand_over

from . import postgres
from .rendering import (
    FILE,
    ROOT,
    TLS_FILE,
    WORKER_FILE,
    changed,
    new_env,
    new_worker_env,
    render,
    values,
)
from .secrecy import QUEUE
from .stack import Stack
from .test_bin import ROOT_ONLY

pytestmark = [ROOT_ONLY, pytest.mark.timeout(1800)]

DEBIANS = [version for version in (17, 15) if binaries(version).is_dir()]
# A task's own client asks for what it may not have. Any answer at all has come by TLS.
_ASK = """
import sys
from airflow.sdk.api.client import Client
from airflow.sdk.configuration import conf
url = conf.get("core", "execution_api_server_url")
print(Client(base_url=url, token="none").get("health/ping", headers={}).status_code)
"""


def make_certificates(folder: Path) -> Path:
    """What bin/new-tls makes, for PostgreSQL as this machine runs it."""
    (folder / "bin").mkdir(exist_ok=True)
    shutil.copy(ROOT / "bin" / "new-tls", folder / "bin")
    subprocess.run([folder / "bin" / "new-tls", "127.0.0.1"], check=True, capture_output=True)
    return folder / "tls"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the servers' system user may enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="feature-store-tls-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def env(folder: Path) -> Path:
    (folder / "env").mkdir()
    made = new_env(folder / "env")
    tls = make_certificates(folder)
    return changed(made, TLS_FOLDER=str(tls), TLS_ADDRESS="127.0.0.1")


@pytest.fixture
def start() -> Iterator[list[Stack]]:
    """The stacks that a test starts, stopped after it."""
    started: list[Stack] = []
    yield started
    for stack in started:
        stack.stop()


def new_stack(env: Path, folder: Path, mailbox: Mailbox, profile: str) -> Stack:
    config = render(env, [profile], file=f"{FILE}:{TLS_FILE}")
    home = folder / (profile or "airflow")
    home.mkdir()
    home.chmod(0o755)
    return Stack(config, home, mailbox)


@pytest.mark.slow
def test_the_api_server_speaks_tls_alone_and_tasks_trust_its_certificate_and_no_other(
    env, folder, mailbox, start, tmp_path
):
    stack = new_stack(env, folder, mailbox, "")
    start.append(stack)
    stack.up("api-server")  # its health check has asked for the certificate

    with pytest.raises(http.client.RemoteDisconnected):
        urllib.request.urlopen(f"{stack.address}/api/v2/version", timeout=5)

    assert "200" in stack.run("scheduler", [sys.executable, "-c", _ASK])
    another = make_certificates(tmp_path) / "ca.pem"
    stack.services["scheduler"]["environment"]["AIRFLOW__API__SSL_CA_FILE"] = str(another)
    assert "CERTIFICATE_VERIFY_FAILED" in stack.run("scheduler", [sys.executable, "-c", _ASK])


@pytest.mark.skipif(not DEBIANS, reason="the embedded servers speak no TLS")
def test_the_store_refuses_whoever_comes_without_tls(env, folder, tmp_path):
    service = render(env, ["store"], file=f"{FILE}:{TLS_FILE}")["services"]["store"]
    # In its container the service reads the key by its group; here it has a copy of its own.
    tls = shutil.copytree(folder / "tls", folder / "store-tls")
    for path in (tls, *tls.iterdir()):
        hand_over(path)
    (tls / "server.key").chmod(0o600)
    places = {"/tls/": f"{tls}/", "/tls_hba.conf": str(ROOT / "config/store/tls_hba.conf")}
    for there, here in places.items():
        service["command"] = [part.replace(there, here) for part in service["command"]]
    data = folder / "data"
    data.mkdir()
    port = free_port()
    postgres.start_new(service, data, port, DEBIANS[0])
    try:
        known = {
            "port": port,
            "user": "postgres",
            "dbname": "scrapes",
            "password": values(env)["STORE_ADMIN_PASSWORD"],
            "host": "localhost",
            "hostaddr": "127.0.0.1",
        }
        verified = {**known, "sslmode": "verify-full"}
        with psycopg.connect(make_conninfo(**verified, sslrootcert=str(tls / "ca.pem"))) as session:
            (used,) = session.execute(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            ).fetchone()
        assert used
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(make_conninfo(**known, sslmode="disable"))
        another = make_certificates(tmp_path) / "ca.pem"
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            psycopg.connect(make_conninfo(**verified, sslrootcert=str(another)))
    finally:
        postgres.stop(data, DEBIANS[0])


@pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server here")
def test_the_queue_speaks_tls_to_a_worker_on_another_machine(env, folder, mailbox, start):
    import redis

    stack = new_stack(env, folder, mailbox, "celery")
    start.append(stack)
    stack.up("redis")
    port = stack.localhost.port("redis", 6380)
    login = f":{values(env)['REDIS_PASSWORD']}@localhost:{port}/0"
    asked = f"ssl_cert_reqs=required&ssl_ca_certs={folder / 'tls' / 'ca.pem'}"

    assert redis.Redis.from_url(f"rediss://{login}?{asked}").ping()
    with pytest.raises(redis.RedisError):
        redis.Redis.from_url(f"redis://{login}").ping()

    # A worker elsewhere, with its own file. Its port 6379 is published from 6380 of the container.
    mine = changed(new_worker_env(env), TLS_CA=str(folder / "tls" / "ca.pem"))
    worker = render(mine, file=WORKER_FILE)["services"]["worker"]
    for name in QUEUE:
        worker["environment"][name] = worker["environment"][name].replace(":6379", ":6380")
    stack.services["worker"] = worker
    stack.up("worker")
