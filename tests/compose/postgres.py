"""What PostgreSQL's image does when it starts, with the embedded server in its place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sandbox.programs import binaries, hand_over, run_program

from .rendering import Config

VERSION = 18
BINARIES = binaries(VERSION)


def start_new(service: Config, data: Path, port: int, version: int = VERSION) -> None:
    """Set up a server as the image does on an empty volume, and start it.

    The superuser and the database have the names in the service's environment. Everybody connects
    by TCP and with a password. The mounted files run once, in order.
    """
    environment = service["environment"]
    user = environment.get("POSTGRES_USER", "postgres")
    password = data.parent / f"{data.name}.password"
    password.write_text(environment["POSTGRES_PASSWORD"])
    for path in (data, password):
        hand_over(path)
    run_program(version, data, "initdb", "--username", user, "--pwfile", str(password),
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync")  # fmt: skip
    password.unlink()
    _, *options = service.get("command") or ["postgres"]
    # The tests' data may be lost with the machine.
    options += ["-p", str(port), "-h", "127.0.0.1", "-k", "''", "-c", "fsync=off"]
    run_program(version, data, "pg_ctl", "--wait", "--log", "log",
                "--options", " ".join(options), "start")  # fmt: skip

    client = {
        **{name: str(value) for name, value in environment.items()},
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": user,
        "PGPASSWORD": environment["POSTGRES_PASSWORD"],
        "PATH": f"{binaries(version)}:{os.environ['PATH']}",
    }
    database = environment["POSTGRES_DB"]
    subprocess.run(["createdb", database], env=client, check=True)
    for file in _first_start_files(service):
        subprocess.run(
            ["psql", "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", file],
            env=client,
            check=True,
        )


def stop(data: Path, version: int = VERSION) -> None:
    """Stop the server, if it runs."""
    if (data / "postmaster.pid").exists():
        run_program(version, data, "pg_ctl", "--wait", "--mode", "immediate", "stop")


def _first_start_files(service: Config) -> list[str]:
    mounts = {
        mount["target"]: mount["source"]
        for mount in service["volumes"]
        if mount["target"].startswith("/docker-entrypoint-initdb.d/")
    }
    return [mounts[target] for target in sorted(mounts)]
