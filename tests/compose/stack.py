"""docker-compose.yaml without a container engine: each service as a process of this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from sandbox.airflow_api import AirflowApi, wait_until
from sandbox.mailbox import Mailbox

from . import postgres
from .confinement import can_confine, confined
from .localhost import Localhost
from .rendering import ROOT, Config, runs_once

_POSTGRES = ("metadata", "store")
_PROGRAMS = (Path(sys.executable).parent, postgres.BINARIES)
_HEALTHY_WITHIN = 400
_IN_THE_IMAGE = ("dags", "plugins", "include", "config", "bin")
_MADE_IN_THE_IMAGE = ("logs", "feature_store_reports")


class Stack:
    """The services, started in their order, with their own commands, environments and checks.

    A mailbox of the tests takes mailpit's place. Where this machine allows it, a service writes
    only to its volumes and has no privileges, as in its container. PostgreSQL's services are left
    out of that, because the tests start them in another way.
    """

    def __init__(self, config: Config, folder: Path, mailbox: Mailbox) -> None:
        self.localhost = Localhost(folder, {("mailpit", 1025): mailbox.port})
        self.configure(config)
        self._up: set[str] = {"mailpit"}
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        home = self.localhost.airflow_home
        for copied in _IN_THE_IMAGE:
            shutil.copytree(ROOT / copied, home / copied)
        for made in _MADE_IN_THE_IMAGE:
            (home / made).mkdir()
        (home / "airflow.cfg").touch()
        self.confines = can_confine(folder)

    def configure(self, config: Config) -> None:
        """Take what docker-compose.yaml says now; what runs already goes on as it was started."""
        self.services: Config = config["services"]
        self.localhost.services = tuple(self.services)

    @property
    def address(self) -> str:
        """The address of Airflow."""
        return f"http://127.0.0.1:{self.localhost.port('api-server', 8080)}"

    def api(self, account: tuple[str, str]) -> AirflowApi:
        """Airflow's API, for the user with this name and password."""
        return AirflowApi(self.address, self.logs, account)

    def up(self, *names: str) -> None:
        """Start services after what they depend on, and wait until they are done or healthy."""
        started = [name for name in names if self._start(name)]
        # The cheap checks first: the others take seconds of processor time, which the start needs.
        seldom = {name: "m" in self.services[name]["healthcheck"]["interval"] for name in started}
        for name in sorted(started, key=seldom.__getitem__):
            self._wait_until_healthy(name)

    def healthy(self, name: str) -> bool:
        """Ask a service's own health check."""
        kind, *test = self.services[name]["healthcheck"]["test"]
        command = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
        return self._run(name, command).returncode == 0

    def once(self, name: str) -> str:
        """Run a service that does its work and ends; returns what it printed."""
        done = self._run(name, self._command(name))
        assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def run(self, name: str, command: list[str]) -> str:
        """Run another command in a service's place, as docker compose run does; its output."""
        return self._run(name, command).stdout

    def server_log(self, name: str) -> str:
        """What a service's PostgreSQL logged."""
        return (self._data(name) / "log").read_text(errors="replace")

    def stop(self, *names: str) -> None:
        """Stop these services, or all if none is named."""
        stopped = {name: self._processes.pop(name) for name in names or tuple(self._processes)}
        self._up -= stopped.keys()
        for process in stopped.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in stopped.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not names:
            for name in self._up.intersection(_POSTGRES):
                postgres.stop(self._data(name))

    def logs(self, name: str = "*") -> str:
        """The ends of the services' outputs, for a test that fails."""
        return "\n".join(
            f"--- {path.stem}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:])
            for path in sorted(self._folder.glob(f"{name}.out"))
        )

    def output(self, name: str) -> str:
        """All that the service printed."""
        return (self._folder / f"{name}.out").read_text(errors="replace")

    def environment(self, name: str) -> dict[str, str]:
        """A service's environment, with what a container and its image have of their own."""
        given = self.services[name].get("environment") or {}
        told = {
            variable: self._here(name, str(value))
            for variable, value in given.items()
            if value is not None  # not set in .env, so not in the container either
        }
        return {
            **told,
            "PATH": os.pathsep.join([*map(str, _PROGRAMS), os.environ["PATH"]]),
            "HOME": str(self._folder),
            "HOSTNAME": socket.gethostname(),
            "AIRFLOW_HOME": str(self.localhost.airflow_home),
            # A container has these ports and its network to itself; here they must not clash.
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.localhost.port(name, 8080)),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(
                self.localhost.port(name, 8974)
            ),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
        }

    def _start(self, name: str) -> bool:
        """Start a service. Returns False if it was started before, or is done."""
        if name in self._up:
            return False
        self._up.add(name)
        for other, wait in self.services[name].get("depends_on", {}).items():
            if wait["required"] or other in self.services:
                self.up(other)
        if runs_once(self.services[name]):
            (self._folder / f"{name}.out").write_text(self.once(name))
            return False
        assert not self.healthy(name), f"the check of {name} passes before {name} runs"
        if name in _POSTGRES:
            data, port = self._data(name), self.localhost.port(name, 5432)
            postgres.start_new(self.services[name], data, port)
        else:
            self._start_process(name)
        return True

    def _wait_until_healthy(self, name: str) -> None:
        wait_until(lambda: self.healthy(name), _HEALTHY_WITHIN, lambda: self.logs(name))

    def _data(self, name: str) -> Path:
        return self.localhost.folder(f"/{name}/var/lib/postgresql")

    def _command(self, name: str) -> list[str]:
        command: list[str] = self.services[name]["command"]
        if self.services[name].get("build") and command[0] not in ("bash", "python"):
            command = ["airflow", *command]  # what the entrypoint of Airflow's image does
        return [self._here(name, part) for part in command]

    def _here(self, name: str, text: str) -> str:
        """A text of a service's with the ports and the mounted files of this machine."""
        mounts = self.services[name].get("volumes", [])
        files = {m["target"]: m["source"] for m in mounts if m["type"] == "bind"}
        if files:
            paths = "|".join(map(re.escape, files))
            text = re.sub(rf"(?<![\w/.-])({paths})(?![\w.-])", lambda m: files[m[1]], text)
        return self.localhost.text(name, text)

    def _as_in_its_container(self, name: str, command: list[str]) -> list[str]:
        if not (self.confines and self.services[name]["read_only"]):
            return command
        mounts = self.services[name].get("volumes", [])
        volumes = [m["target"] for m in mounts if m["type"] == "volume"]
        return confined(command, self._folder, [self.localhost.volume(path) for path in volumes])

    def _run(self, name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._as_in_its_container(name, [self._here(name, part) for part in command]),
            env=self.environment(name),
            cwd=self.localhost.airflow_home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _start_process(self, name: str) -> None:
        with (self._folder / f"{name}.out").open("a") as out:
            self._processes[name] = subprocess.Popen(
                self._as_in_its_container(name, self._command(name)),
                env=self.environment(name),
                cwd=self.localhost.airflow_home,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
