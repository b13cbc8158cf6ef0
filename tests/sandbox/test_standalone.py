"""`make airflow` can be reached from this machine, and from nowhere else."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.airflow_api import wait_until
from sandbox.home import ROOT, airflow_settings, only_one
from sandbox.port import LOCALHOST, free_port
from sandbox.server import airflow_connection


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """The addresses where a process and all below it listen."""
    found = set()
    for each in (process, *process.children(recursive=True)):
        try:
            connections = each.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        found |= {tuple(c.laddr) for c in connections if c.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.timeout(900)
def test_all_that_airflow_listens_on_is_loopback_and_ends_with_it(store_database, tmp_path):
    port = free_port()
    environment = {
        **os.environ,
        **airflow_settings(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(store_database),
        # It is up when Airflow knows the DAG of its store, whichever that is.
        "FEATURE_STORE_INCLUDE_DIR": str(ROOT / "examples" / "bike_stations"),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "0.0.0.0",  # a person's own setting
    }
    out = tmp_path / "out"
    with out.open("w") as file:
        command = [sys.executable, "-m", "sandbox.standalone"]
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    airflow = psutil.Process(running.pid)
    try:
        wait_until(lambda: "Ctrl-C stops it" in out.read_text(), 600, lambda: told(tmp_path))
        assert len(airflow.children()) == 4
        # A process that gives itself another title overwrites what it shows of its environment.
        shown = (child.environ().get("AIRFLOW_CONN_SMTP_DEFAULT") for child in airflow.children())
        (mail_server,) = map(json.loads, {one for one in shown if one})
        assert (mail_server["host"], mail_server["port"]) in listening(airflow)
        assert f"Mails go to {tmp_path.parent / 'mails'}." in out.read_text()
        found = set()
        looked_until = time.monotonic() + 6  # a server of logs starts later
        while time.monotonic() < looked_until:
            found |= listening(airflow)
            time.sleep(0.5)
        with pytest.raises(ValueError, match="make airflow, is at work here"):  # as make run asks
            only_one(tmp_path.parent).__enter__()
        assert (LOCALHOST, port) in found
        assert [at for at in found if not ipaddress.ip_address(at[0]).is_loopback] == []
    finally:
        everything = [airflow, *airflow.children(recursive=True)]
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    _, alive = psutil.wait_procs(everything, timeout=20)
    assert alive == []
    with only_one(tmp_path.parent):
        pass


def test_a_port_that_is_taken_is_named_before_anything_is_started(tmp_path):
    with socket.socket() as taken:
        taken.bind((LOCALHOST, 0))
        taken.listen()
        environment = {**os.environ, "AIRFLOW__API__PORT": str(taken.getsockname()[1])}
        command = [sys.executable, "-m", "sandbox.standalone"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert "AIRFLOW__API__PORT=8081 make airflow" in done.stderr


def test_while_make_run_is_at_work_it_does_not_start(tmp_path):
    """Both would work in one database of Airflow's, and each end the other's runs."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__API__PORT": str(free_port()),
    }
    with only_one(tmp_path):
        command = [sys.executable, "-m", "sandbox.standalone"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Another make run, or make airflow, is at work here; ")


def told(home: Path) -> str:
    return "\n".join(path.read_text()[-2000:] for path in (home / "out", *home.glob("*.out")))
