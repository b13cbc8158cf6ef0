"""`make bench-served`: what the feature logs add to a night."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.machine import describe_machine
from bench.measure import describe_conditions
from bench.options import Options
from bench.results import conditions, markdown_table, number, read_result, write_result
from bench.scratch import check_disk, need_bytes, scratch_store
from bench.served import measure_served
from bench.server import open_server
from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings

NAME = "served"


def run_served(options: Options) -> None:
    """Measure three nights at each size.

    Raises:
        NotReady: the disk is too small, or the server lets us create no database.
    """
    settings = Settings()
    store = read_store(settings.include_dir)
    if not options.dsn:
        check_disk(need_bytes(options.sizes[-1].listings, reference=False))
    result: dict[str, Any] = {"machine": describe_machine(), "sizes": {}}
    with open_server(options.dsn) as server:
        for size in options.sizes:
            print(f"{size.listings:,} listings:", flush=True)
            with scratch_store(server, size.sample, store, settings) as scratch:
                result["conditions"] = describe_conditions(server, scratch)
                result["sizes"][str(size.listings)] = measure_served(scratch)
            write_result(options.out, NAME, result)
    render_served(options.out)


def render_served(out: Path) -> None:
    """Make the table of the result in a folder, and print it.

    Raises:
        BadInput: the folder holds no result.
    """
    result = read_result(out / f"{NAME}.json")
    table = served_table(result)
    words = "# What the feature logs add to a night\n\nWritten by `make bench-served`.\n\n"
    (out / f"{NAME}.md").write_text(words + table, encoding="utf-8")
    print(f"\n{table}\nWritten to {out}: {NAME}.json, {NAME}.md")


def served_table(result: dict[str, Any]) -> str:
    """The table of a result: each night at each size."""
    rows = [
        (
            f"{int(size):,}",
            night,
            f"{of['rows']:,}",
            number(of["bytes"] / 1e6, 2),
            number(of["certify and log"] - of["certify"], 2),
            number(of["skew"], 2),
        )
        for size, nights in result["sizes"].items()
        for night, of in nights.items()
    ]
    header = ("listings", "night", "rows added", "MB added", "log and proof, s", "skew, s")
    return (
        "Both sets together. First: the night that begins the logs; usual: one with a day's "
        "listings.\n\n"
        f"{markdown_table(header, rows)}\n\n## Measured on\n\n{conditions(result)}\n"
    )
