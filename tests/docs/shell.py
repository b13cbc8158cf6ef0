"""A shell in which tests type what the pages say: libpq's programs, one server, one folder."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from sandbox.programs import binaries
from sandbox.server import Server


@dataclass(frozen=True)
class Shell:
    """A shell on a server's machine, as its administrator.

    Attributes:
        server: where libpq's programs connect.
        version: of these programs.
        folder: where it stands.
    """

    server: Server
    version: int
    folder: Path

    def type(self, lines: str, **variables: str) -> str:
        """Type lines, each of which must succeed. Gives what they printed.

        Args:
            lines: a block of a page.
            variables: of the environment.
        """
        of_server = conninfo_to_dict(self.server.conninfo)
        environment = {
            "PATH": f"{binaries(self.version)}:{os.environ['PATH']}",
            "PGHOST": str(of_server["host"]),
            "PGPORT": str(of_server["port"]),
            "PGUSER": str(of_server["user"]),
            **variables,
        }
        done = subprocess.run(
            ["bash", "-eu", "-c", lines],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr
