"""The command line of the benchmark: `make bench` and similar targets."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.bloat_command import render_bloat, run_bloat
from bench.options import DEFAULT_PATIENCE, DEFAULT_RUNS, Options, parse_sizes
from bench.plans_command import render_plans, run_plans
from bench.readers_command import render_readers, run_readers
from bench.refresh_command import render_refresh, run_refresh
from bench.served_command import render_served, run_served
from bench.server import BENCH_HOME
from bench.years_command import render_years, run_years
from feature_store.errors import BadInput, CannotConnect, StoreError
from sandbox.home import make_home

_COMMANDS: dict[str, tuple[Callable[[Options], None], Callable[[Path], None], str]] = {
    "refresh": (run_refresh, render_refresh, "10000 100000"),
    "readers": (run_readers, render_readers, "100000"),
    "bloat": (run_bloat, render_bloat, "30000"),
    "plans": (run_plans, render_plans, "100000"),
    "served": (run_served, render_served, "10000 100000"),
    "years": (run_years, render_years, "300000"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or render what was measured; return the exit code."""
    parsed = _parser().parse_args(arguments)
    run, render, sizes = _COMMANDS[parsed.command]
    logging.getLogger("feature_store").setLevel(logging.ERROR)
    try:
        if parsed.render:
            render(parsed.out)
            return 0
        options = Options(
            sizes=parse_sizes(parsed.sizes or sizes, parsed.runs),
            out=parsed.out,
            # From the environment, because an argument would show a password in the process list.
            dsn=os.environ.get("BENCH_DSN", ""),
            reference_up_to=parsed.reference_up_to,
            patience=parsed.patience,
        )
        with _only_one():
            run(options)
    except CannotConnect as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    except StoreError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except (psycopg.Error, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("Stopped; the scratch database is gone.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _only_one() -> Iterator[None]:
    """Refuse a second benchmark at the same time: both would measure each other."""
    make_home(BENCH_HOME)
    with (BENCH_HOME / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput("Another benchmark is at work here; wait until it is done.") from None
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("--sizes", help="listings, each with :runs of its own if wanted")
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS, help="runs per size; medians")
    parser.add_argument("--out", type=Path, default=BENCH_HOME / "results")
    parser.add_argument(
        "--reference-up-to",
        type=int,
        default=Options.reference_up_to,
        help="largest size at which the quadratic reference is built",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=DEFAULT_PATIENCE,
        help="seconds after which a query of the reference's own is given up",
    )
    parser.add_argument("--render", action="store_true", help="only the tables, from --out")
    return parser
