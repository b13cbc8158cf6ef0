"""`make bench-bloat`: how the read layers grow over thirty nights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.bloat import measure_bloat
from bench.labels import label
from bench.machine import describe_machine
from bench.measure import describe_conditions
from bench.options import Options
from bench.results import conditions, markdown_table, number, read_result, write_result
from bench.scratch import check_disk, need_bytes, scratch_store
from bench.server import Profile, open_server
from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings

NAME = "bloat"
NIGHTS = 30
# Between two nights there is a day, here a second, so autovacuum looks that much more often. All
# its other settings are the server's defaults.
HURRIED = Profile("default, autovacuum looks every second", (("autovacuum_naptime", "1s"),))


def run_bloat(options: Options) -> None:
    """Measure thirty nights at the largest size asked for.

    Raises:
        NotReady: the disk is too small, or the server lets us create no database.
    """
    settings = Settings()
    store = read_store(settings.include_dir)
    size = options.sizes[-1]
    if not options.dsn:
        check_disk(2 * need_bytes(size.listings, reference=False))
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "listings": size.listings,
        "labels": {str(r.name): label(r) for r in store.refreshed},
    }
    with open_server(options.dsn) as server:
        print(f"{size.listings:,} listings, {NIGHTS} nights:", flush=True)
        with scratch_store(server, size.sample, store, settings) as scratch:
            result["conditions"] = describe_conditions(server, scratch)
            server.use(HURRIED)
            result |= measure_bloat(scratch, NIGHTS)
    write_result(options.out, NAME, result)
    render_bloat(options.out)


def render_bloat(out: Path) -> None:
    """Make the table of the result in a folder, and print it.

    Raises:
        BadInput: the folder holds no result.
    """
    result = read_result(out / f"{NAME}.json")
    table = bloat_table(result)
    words = "# Sizes over thirty nights\n\nWritten by `make bench-bloat`.\n\n"
    (out / f"{NAME}.md").write_text(words + table, encoding="utf-8")
    print(f"\n{table}\nWritten to {out}: {NAME}.json, {NAME}.md")


def bloat_table(result: dict[str, Any]) -> str:
    """The table of a result: every relation after the first night and after the last."""
    nights, compact = result["nights"], result["compact"]
    rows = []
    for name, words in result["labels"].items():
        first, last = nights[0]["bytes"][name], nights[-1]["bytes"][name]
        most = max(night["bytes"][name] for night in nights)
        rows.append(
            (
                words,
                *(number(size / 1e6, 1) for size in (first, last, most, compact["last"][name])),
                number(first / compact["first"][name]),
                number(last / compact["last"][name]),
            )
        )
    header = (
        "relation, MB", "first night", f"night {len(nights)}", "most", "written anew",
        "first / anew", "last / anew",
    )  # fmt: skip
    seconds = [night["seconds"] for night in nights]
    return (
        f"{result['listings']:,} listings, {len(nights)} nights of concurrent refreshes with small "
        f"changes, autovacuum as default. A refresh took {seconds[0]:.1f} s in the first night, "
        f"{seconds[-1]:.1f} s in the last, {max(seconds):.1f} s at most.\n\n"
        f"{markdown_table(header, rows)}\n\n## Measured on\n\n{conditions(result)}\n"
    )
