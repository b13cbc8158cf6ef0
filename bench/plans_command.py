"""`make bench-plans`: the server's plans for the relations that the reference does naively."""

from __future__ import annotations

from pathlib import Path

from psycopg import Connection

from bench.labels import label
from bench.measure import say
from bench.options import Options
from bench.reference import read_reference
from bench.scratch import check_disk, need_bytes, scratch_store
from bench.server import open_server
from bench.variants import SHIPPED, run_variant
from feature_store.declarations.store_definition import Relation, read_store
from feature_store.errors import BadInput
from feature_store.settings import Settings

NAME = "plans"


def run_plans(options: Options) -> None:
    """Explain and analyze them, at the largest requested size.

    Raises:
        NotReady: the disk is too small, or the server lets us create no database.
    """
    settings = Settings()
    store = read_store(settings.include_dir)
    reference = read_reference(store)
    size = options.sizes[-1]
    if not options.dsn:
        check_disk(need_bytes(size.listings, reference=False))
    with open_server(options.dsn) as server:
        server.use(server.profiles[0])
        print(f"{size.listings:,} listings:", flush=True)
        with (
            scratch_store(server, size.sample, store, settings) as scratch,
            scratch.session() as connection,
        ):
            run_variant(connection, SHIPPED, reference, settings.zone)
            say("filled")
            shown = [
                r for r in store.refreshed if r.name in reference.own | reference.helpers.keys()
            ]
            plans = [f"## {label(r)}\n\n```\n{_plan(connection, r)}\n```\n" for r in shown]
    options.out.mkdir(parents=True, exist_ok=True)
    words = (
        f"# Plans at {size.listings:,} listings, in our session\n\nWritten by `make bench-plans`."
    )
    (options.out / f"{NAME}.md").write_text("\n\n".join([words, *plans]), encoding="utf-8")
    render_plans(options.out)


def render_plans(out: Path) -> None:
    """Print the plans of a folder.

    Raises:
        BadInput: the folder holds none.
    """
    try:
        print((out / f"{NAME}.md").read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{out} holds no plans: {error}", next_step="Run make bench-plans."
        ) from None


def _plan(connection: Connection[tuple[object, ...]], relation: Relation) -> str:
    explain = f"EXPLAIN (ANALYZE, TIMING OFF) {relation.file.query}"
    lines = connection.execute(explain.encode()).fetchall()
    return "\n".join(str(line) for (line,) in lines)
