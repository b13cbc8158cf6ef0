"""What a feature is made of, from the latest trace."""

from __future__ import annotations

from collections.abc import Iterable

from feature_store.connection import Connection
from feature_store.reporting.page.features.feature_models import ColumnStep, Lineage
from feature_store.reporting.store.store_files import Files


def read_lineage(
    connection: Connection, files: Files, feature_set: str, name: str
) -> Lineage | None:
    """Read what was traced of a feature; None if no run has traced it."""
    row = connection.execute(
        "SELECT traced_at, dag_id, run_id, lineage FROM feature_store_audit.feature_lineage "
        "WHERE feature_set = %s AND feature = %s",
        (feature_set, name),
    ).fetchone()
    if row is None:
        return None
    traced_at, dag_id, run_id, traced = row
    columns = _steps(files, traced["columns"])
    return Lineage(
        traced_at=traced_at,
        dag_id=dag_id,
        run_id=run_id,
        columns=sorted(columns, key=lambda step: step.level),
        edges=[(columns[read].id, columns[made].id) for read, made in traced["edges"]],
        decided_by=sorted(_steps(files, traced["decided_by"]), key=lambda step: step.level),
    )


def _steps(files: Files, columns: Iterable[tuple[str, str]]) -> list[ColumnStep]:
    return [_step(files, relation, column) for relation, column in columns]


def _step(files: Files, relation: str, column: str) -> ColumnStep:
    ours = files.relations.get(relation)
    return ColumnStep(
        id=f"{relation}.{column}",
        relation=relation,
        label=ours.label if ours else relation,
        column=column,
        refresh=ours.refresh.value if ours else "source",
        level=ours.level + 1 if ours else 0,
    )
