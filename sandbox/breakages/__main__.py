"""`make breakages`: break a store in every known way, and show the result of each.

``python -m sandbox.breakages [NAME…]`` does some of them. Each gets a database of its own, the real
DAG and a mail server; what they leave (mails, reports) is kept in ``.run/breakages``. The exit code
is 1 if anything is not as expected.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from feature_store.errors import StoreError
from feature_store.text_format import text_table
from sandbox.breakages.breakage import Breakage
from sandbox.breakages.catalogue import BREAKAGES
from sandbox.breakages.run_result import RunResult, differences
from sandbox.home import HOME, ROOT, airflow_settings, make_home
from sandbox.server import folder_for_servers, start_server, stop_server

if TYPE_CHECKING:
    from sandbox.breakages.lab import Lab

_HEADER = (
    "breakage",
    "expected",
    "verdict",
    "failed tasks",
    "failure mails",
    "subject",
    "as expected",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the named breakages, or all; return the exit code."""
    chosen = _chosen(arguments)
    try:
        return _break(chosen)
    except StoreError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


def _break(chosen: Sequence[Breakage]) -> int:
    home = HOME / "breakages"
    make_home(home)
    log = home / "log"
    wrong: dict[str, list[str]] = {}
    rows: list[tuple[str, ...]] = [_HEADER]
    with folder_for_servers("breakages-") as place:
        print(f"A PostgreSQL and an Airflow of their own; the log is {log.relative_to(ROOT)}.")
        with log.open("w") as file:
            with _output_to(file):
                lab = _lab(place, home)
            try:
                for breakage in chosen:
                    print(f"  {breakage.name}: {breakage.title}", flush=True)
                    with _output_to(file):
                        result = lab.run(breakage)
                    wrong[breakage.name] = differences(breakage.expected, result)
                    rows.append(_row(breakage, result, wrong[breakage.name]))
            finally:
                with _output_to(file):
                    stop_server(place / "postgres")
    print(f"\n{text_table(rows, right=(4,))}\n")
    for name, found in wrong.items():
        for line in found:
            print(f"NOT as expected, {name}: {line}")
    bad = sum(bool(found) for found in wrong.values())
    print(f"{len(wrong) - bad} of {len(wrong)} breakages are as expected.")
    print(f"Mails and reports: {home.relative_to(ROOT)}")
    return 1 if bad else 0


@contextmanager
def _output_to(file: TextIO) -> Iterator[None]:
    """Send all output to a file, also that of libraries that write to the descriptors."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        for number, _ in kept:
            os.dup2(file.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


def _lab(place: Path, home: Path) -> Lab:
    os.environ.update(airflow_settings(place / "airflow"))
    for name in [n for n in os.environ if n.startswith(("AIRFLOW_CONN_", "FEATURE_STORE_"))]:
        del os.environ[name]  # ignore the person's own settings
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, capture_output=True)
    from sandbox.breakages.lab import Lab  # imports Airflow, which reads the environment then

    return Lab(start_server(place / "postgres"), home, place)


def _chosen(arguments: Sequence[str] | None) -> list[Breakage]:
    names = [breakage.name for breakage in BREAKAGES]
    width = max(map(len, names))
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.breakages",
        description=__doc__,
        epilog="\n".join(f"  {b.name:<{width}}  {b.title}" for b in BREAKAGES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of those below; all if none")
    given = parser.parse_args(arguments).names
    unknown = [name for name in given if name not in names]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(names)}")
    return [breakage for breakage in BREAKAGES if not given or breakage.name in given]


def _row(breakage: Breakage, result: RunResult, wrong: list[str]) -> tuple[str, ...]:
    return (
        breakage.name,
        "failed" if breakage.expected.failed else "passed",
        "passed" if result.state == "success" else result.state,
        ", ".join(task.rpartition(".")[2] for task in result.failed) or "none",
        str(len(result.mails)),
        result.subject or "",
        "NOT" if wrong else "OK",
    )


if __name__ == "__main__":
    sys.exit(main())
