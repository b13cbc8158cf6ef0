"""`make bench`: every size measured, and the tables and the plot from what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.labels import label
from bench.machine import describe_machine
from bench.measure import describe_conditions, measure_size
from bench.options import Options, Size
from bench.plot import draw
from bench.reference import Reference, read_reference
from bench.results import read_result, write_result
from bench.scratch import check_disk, need_bytes, scratch_store
from bench.server import open_server
from bench.summary import read_sizes
from bench.tables import refresh_tables
from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings

NAME = "refresh"


def run_refresh(options: Options) -> None:
    """Measure, write the results after every size, and print the tables.

    Raises:
        NotReady: the disk is too small, or the server lets us create no database.
        RowsDiffer: the reference does not give our rows.
    """
    settings = Settings()
    store = read_store(settings.include_dir)
    reference = read_reference(store)
    if not options.dsn:
        check_disk(max(_need(options, size) for size in options.sizes))
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "labels": {str(r.name): label(r) for r in store.refreshed},
        "helpers": _helpers(reference),
        "patience": options.patience,
        "sizes": [],
    }
    with open_server(options.dsn) as server:
        server.use(server.profiles[0])
        for size in options.sizes:
            print(f"{size.listings:,} listings, {size.runs} runs:", flush=True)
            with scratch_store(server, size.sample, store, settings) as scratch:
                if "conditions" not in result:
                    result["conditions"] = describe_conditions(server, scratch)
                compare = size.listings <= options.reference_up_to
                found = measure_size(
                    server, scratch, size, reference, options.patience, compare=compare
                )
            result["sizes"].append(found)
            write_result(options.out, NAME, result)
    render_refresh(options.out)


def render_refresh(out: Path) -> None:
    """Make the tables and the plot of the result in a folder, and print the tables.

    Raises:
        BadInput: the folder holds no result.
    """
    result = read_result(out / f"{NAME}.json")
    tables = refresh_tables(result)
    (out / f"{NAME}.md").write_text(
        "# Refresh: ours, the reference and the floor\n\nWritten by `make bench`.\n\n"
        f"![Seconds against listings]({NAME}.svg)\n\n{tables}",
        encoding="utf-8",
    )
    draw(read_sizes(result), out / f"{NAME}.svg")
    print(f"\n{tables}\nWritten to {out}: {NAME}.json, {NAME}.md, {NAME}.svg")


def _helpers(reference: Reference) -> dict[str, list[str]]:
    return {
        str(helper): [str(name) for name in served] for helper, served in reference.helpers.items()
    }


def _need(options: Options, size: Size) -> int:
    return need_bytes(size.listings, reference=size.listings <= options.reference_up_to)
