"""`make bench-served`, `make bench-years`: what the feature logs cost, in a night and in years."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import describe_machine
from bench.measure import describe_conditions
from bench.options import Options
from bench.results import conditions, markdown_table, number, write_result, write_tables
from bench.scratch import Scratch, check_disk, need_bytes, scratch_store
from bench.served import measure_served
from bench.server import open_server
from bench.years import SERVINGS, measure_years
from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings


@dataclass(frozen=True)
class LogBench:
    """A benchmark of the feature logs.

    Attributes:
        name: of its command and its files.
        title: what it measures.
        measure: measures at one size.
        tables: the tables of its result.
    """

    name: str
    title: str
    measure: Callable[[Scratch], dict[str, Any]]
    tables: Callable[[dict[str, Any]], str]

    def run(self, options: Options) -> None:
        """Measure at each size.

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
                    result["sizes"][str(size.listings)] = self.measure(scratch)
                write_result(options.out, self.name, result)
        self.render(options.out)

    def render(self, out: Path) -> None:
        """Make the tables of the result in a folder; see `write_tables`."""
        write_tables(out, self.name, self.title, self.tables)


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


def years_tables(result: dict[str, Any]) -> str:
    """The tables of a result: nights as the logs grow, and what they are in the end."""
    nights = [
        (f"{int(size):,}", str(servings), number(seconds, 2))
        for size, of in result["sizes"].items()
        for servings, seconds in of["nights"].items()
    ]
    ends = [
        (
            f"{int(size):,}",
            f"{of['rows']:,}",
            number(of["table bytes"] / 1e6, 1),
            number(of["index bytes"] / 1e6, 1),
            f"{of['dead rows']:,}",
            *(number(of["seconds"][what], 3) for what in ("vacuum", "skew", "look-up")),
        )
        for size, of in result["sizes"].items()
    ]
    return (
        f"Both sets together. All listings of the sample are served in {SERVINGS} steps, one for "
        "each month of ten years.\n\n"
        + markdown_table(("listings", "serving", "log and proof, s"), nights)
        + "\n\nAfterwards:\n\n"
        + markdown_table(
            (
                "listings",
                "rows",
                "tables, MB",
                "indexes, MB",
                "dead rows",
                "VACUUM FREEZE, s",
                "skew of the last 90 days of t₀, s",
                "two look-ups, s",
            ),
            ends,
        )
        + f"\n\n## Measured on\n\n{conditions(result)}\n"
    )


SERVED = LogBench("served", "What the feature logs add to a night", measure_served, served_table)
YEARS = LogBench("years", "The feature logs after ten years", measure_years, years_tables)
