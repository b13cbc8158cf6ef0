"""What a person is told after apply: what was done, and what is still to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feature_store.connection import Connection
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.schema.planning.plan import Plan
from feature_store.schema.planning.plan_words import without_file_words
from feature_store.schema.stamps.contract_stamp import check


def what_was_done(done: Plan) -> str:
    """What apply did, in words."""
    if not done.empty:
        return f"Applied, in one transaction.\n{done.done}"
    nothing = "Nothing to do: the database is as the files say."
    left = without_file_words(done.without_file)
    return f"{nothing}\n{left}" if left else nothing


def what_is_to_do(
    connection: Connection, include_dir: Path, done: Plan, dag_id: str
) -> Iterator[str]:
    """What readers must know, and what a person still has to do.

    Args:
        connection: the session that applied.
        include_dir: where the contract files are.
        done: what was done.
        dag_id: of the store's DAG.
    """
    if done.replacement:
        yield (
            "What was replaced is not proven until the next run. Until then require_certified\n"
            "refuses the feature sets that read it."
        )
    if _are_empty(done):
        yield f"New relations are empty until the next run of the DAG {dag_id}."
    if done.creates:
        yield from what_is_to_stamp(connection, include_dir)


def what_is_to_stamp(connection: Connection, include_dir: Path) -> Iterator[str]:
    """The feature sets that were never stamped, without which a run certifies nothing."""
    sets = read_feature_sets(include_dir)
    if never := [one.name for one in sets if check(connection, one).stamped_hash is None]:
        yield (
            "Stamp the contracts once, before the next run: "
            f"bin/feature-store stamp-contract {' '.join(never)}"
        )


def _are_empty(done: Plan) -> bool:
    """Whether a new relation has no rows: no plain view, and not filled for a replaced one."""
    rebuilt = done.replacement.rebuilt if done.replacement else ()
    filled = {str(one.name) for one in rebuilt if one.filled}
    return any(
        thing.relation and thing.relation.file.materialized and thing.label not in filled
        for thing in done.creates
    )
