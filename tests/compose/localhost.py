"""What a container engine would do for the services' names, ports and folders, on this machine."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from sandbox.port import free_port


class Localhost:
    """Ports and folders of this machine in the place of the containers'.

    The texts of docker-compose.yaml (commands, environments, health checks) are taken as they are.
    Only the names of a service's ports and of a container's folders are replaced in them.
    """

    def __init__(self, folder: Path, ports: dict[tuple[str, int], int]) -> None:
        self.services: tuple[str, ...] = ()
        self._folder = folder
        self._ports = defaultdict(free_port, ports)

    def port(self, service: str, port: int) -> int:
        """The port of this machine that stands for a service's port."""
        return self._ports[service, port]

    def folder(self, path: str) -> Path:
        """The folder here that stands for a container's folder; services share what they mount."""
        folder = self._folder / path.strip("/").replace("/", "-")
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def airflow_home(self) -> Path:
        """The image's working directory."""
        return self.folder("/opt/airflow")

    def volume(self, path: str) -> Path:
        """The folder here that stands for a container's volume."""
        home = PurePosixPath("/opt/airflow")
        if PurePosixPath(path).is_relative_to(home):
            return self.airflow_home / PurePosixPath(path).relative_to(home)
        return self.folder(path)

    def text(self, service: str, text: str) -> str:
        """A text of a service, with the ports and folders of this machine."""

        def elsewhere(match: re.Match[str]) -> str:
            name, port = match["name"], int(match["port"])
            there = service if name == "localhost" else name
            return f"{match['before']}127.0.0.1{match['between']}{self.port(there, port)}"

        names = "|".join([*self.services, "localhost"])
        # http://redis:6379, localhost:8080, {"host": "store", "port": 5432}
        text = re.sub(
            rf'(?P<before>[/@"]|\b)(?P<name>{names})(?P<between>:|", "port": )(?P<port>\d+)',
            elsewhere,
            text,
        )
        # redis-server --port 6379, redis-cli -p 6379, pg_isready --port=5432
        return re.sub(
            r"(--(?:tls-)?port[= ]|-p )(\d+)",
            lambda match: f"{match[1]}{self.port(service, int(match[2]))}",
            text,
        ).replace("--dir /data", f"--dir {self.folder('/data')} --bind 127.0.0.1")
