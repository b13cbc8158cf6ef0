"""docker-compose.yaml as Docker Compose itself reads it. That needs no container engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"
TLS_FILE = ROOT / "docker-compose.tls.yaml"
WORKER_FILE = ROOT / "docker-compose.worker.yaml"
ONCE = "on-failure"  # the restart policy of a service that does its work and ends

PROFILES = {
    "own servers for store and mail": (),
    "as .env.example has it": ("store", "mail"),
    "own store, with workers": ("mail", "celery"),
    "everything": ("store", "mail", "celery"),
}
SECRETS = [
    line.removesuffix("=")
    for line in (ROOT / ".env.example").read_text().splitlines()
    if line.endswith("=") and not line.startswith("#")
]
# These may hold a password, too: the mail server's, or one that the owner wrote in.
CONNECTIONS = ["STORE_CONNECTION", "STORE_PAGE_CONNECTION", "SMTP_CONNECTION"]
Config = dict[str, Any]


class Refused(Exception):
    """Docker Compose would not start this, or warned about it."""


def new_env(folder: Path) -> Path:
    """The .env that bin/new-env writes, in a folder of its own."""
    (folder / "bin").mkdir()
    shutil.copy(ROOT / ".env.example", folder)
    shutil.copy(ROOT / "bin" / "new-env", folder / "bin")
    subprocess.run([folder / "bin" / "new-env"], check=True, capture_output=True)
    return folder / ".env"


def new_worker_env(env: Path) -> Path:
    """The .env.worker that bin/new-env writes beside a .env."""
    subprocess.run([env.parent / "bin/new-env", "worker"], check=True, capture_output=True)
    return env.with_name(".env.worker")


def all_text() -> str:
    """All that Docker Compose reads."""
    files = (FILE, TLS_FILE, WORKER_FILE, ROOT / "config" / "services.yaml")
    return "\n".join(file.read_text() for file in files)


def changed(env: Path, **values: str | None) -> Path:
    """Set variables of a .env; None takes a variable away."""
    kept = [s for s in env.read_text().splitlines() if s.partition("=")[0] not in values]
    given = [f"{name}='{value}'" for name, value in values.items() if value is not None]
    env.write_text("\n".join([*kept, *given, ""]))
    return env


def values(env: Path) -> dict[str, str]:
    """The variables of a .env, without the quotes."""
    lines = [s.partition("=") for s in env.read_text().splitlines() if s and not s.startswith("#")]
    return {name: value.strip("'") for name, _, value in lines}


def render(env: Path, profiles: Iterable[str] | None = None, file: Path | str = FILE) -> Config:
    """What Docker Compose would start. ``profiles`` replace those of the .env.

    Several files are separated by colons, as in COMPOSE_FILE.

    Raises:
        Refused: it failed, or it warned.
    """
    chosen = {} if profiles is None else {"COMPOSE_PROFILES": ",".join(profiles)}
    # The program itself: the wrapper beside it ends with 0 whatever happens.
    package = find_spec("compose")
    assert package is not None
    assert package.origin is not None
    done = subprocess.run(
        [Path(package.origin).with_name("docker-compose"), "--project-directory", ROOT,
         "--env-file", env, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(env.parent), "COMPOSE_FILE": str(file),
             **chosen},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0 or done.stderr:
        raise Refused(done.stderr)
    # What it prints is meant to be read as a compose file again, so it doubles each $.
    config: Config = json.loads(done.stdout.replace("$$", "$"))
    return config


def runs_once(service: Config) -> bool:
    """Whether a service does its work and ends."""
    return str(service["restart"]).startswith(ONCE)
