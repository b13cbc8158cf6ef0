"""`make bench-years`: the feature logs after ten years of servings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.machine import describe_machine
from bench.measure import describe_conditions
from bench.options import Options
from bench.results import conditions, markdown_table, number, read_result, write_result
from bench.scratch import check_disk, need_bytes, scratch_store
from bench.server import open_server
from bench.years import SERVINGS, measure_years
from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings

NAME = "years"


def run_years(options: Options) -> None:
    """Let logs grow, at each size.

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
                result["sizes"][str(size.listings)] = measure_years(scratch)
            write_result(options.out, NAME, result)
    render_years(options.out)


def render_years(out: Path) -> None:
    """Make the tables of the result in a folder, and print them.

    Raises:
        BadInput: the folder holds no result.
    """
    result = read_result(out / f"{NAME}.json")
    tables = years_tables(result)
    words = "# The feature logs after ten years\n\nWritten by `make bench-years`.\n\n"
    (out / f"{NAME}.md").write_text(words + tables, encoding="utf-8")
    print(f"\n{tables}\nWritten to {out}: {NAME}.json, {NAME}.md")


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
