"""The machine of the measurement: without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

_SERVER_SETTINGS = (
    "autovacuum",
    "autovacuum_naptime",
    "checkpoint_timeout",
    "default_statistics_target",
    "effective_cache_size",
    "fsync",
    "full_page_writes",
    "jit",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_wal_size",
    "random_page_cost",
    "shared_buffers",
    "synchronous_commit",
    "wal_level",
    "work_mem",
)


def describe_machine() -> dict[str, Any]:
    """The machine, its other load, and the measured state of the code."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_bytes() / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def describe_server(connection: Connection[Any]) -> dict[str, str]:
    """The server's version, and the settings that decide its speed as a new session has them."""
    rows = connection.execute(
        "SELECT name, current_setting(name) FROM pg_catalog.pg_settings "
        "WHERE name = ANY(%s) ORDER BY name",
        (list(_SERVER_SETTINGS),),
    ).fetchall()
    return {"version": connection.info.parameter_status("server_version") or "", **dict(rows)}


def describe_session(connection: Connection[Any]) -> dict[str, str]:
    """What a session has set for itself."""
    rows = connection.execute(
        "SELECT name, current_setting(name) FROM pg_catalog.pg_settings "
        "WHERE source = 'session' ORDER BY name"
    ).fetchall()
    return dict(rows)


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments),
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""
