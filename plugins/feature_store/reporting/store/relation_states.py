"""Every relation's last refresh, and whether its rows are still the proven ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from feature_store.connection import Connection
from feature_store.relation_name import Name
from feature_store.reporting.store.models import RelationNow, RelationState, RunLine
from feature_store.reporting.store.store_files import Described, Files
from feature_store.validation.certificates import Certificate

# From the catalog only, so that this does not wait for a refresh that locks its relation.
_RELATIONS = """
SELECT
    w.relation,
    to_regclass(w.quoted) IS NOT NULL AS is_there,
    r.refresh_id,
    r.row_count AS rows,
    r.bytes,
    r.seconds,
    r.mode,
    r.finished_at,
    r.dag_id,
    r.run_id,
    c.run_id AS certified_by,
    c.certified_at,
    c.withdrawn_by,
    -- Nor does it have its rows if it is no materialized view any more.
    CASE WHEN l.relation IS NULL THEN 'rewritten' ELSE l.problem END AS problem,
    u.reason AS reused
FROM unnest(%(names)s::text[], %(quoted)s::text[]) AS w (relation, quoted)
LEFT JOIN LATERAL (
    SELECT * FROM feature_store_audit.refresh AS r
    WHERE r.relation = w.relation ORDER BY r.refresh_id DESC LIMIT 1
) AS r ON TRUE
LEFT JOIN feature_store_audit.certified AS c ON w.relation = c.relation
LEFT JOIN feature_store_audit.layer_now AS l ON w.relation = l.relation
LEFT JOIN feature_store_audit.reuse AS u
    ON w.relation = u.relation AND r.refresh_id = u.refresh_id
    AND u.dag_id = %(dag)s AND u.run_id = %(run)s AND u.event_id > (
        SELECT o.event_id FROM feature_store_audit.run AS o
        WHERE o.dag_id = u.dag_id AND o.run_id = u.run_id
    )
"""


@dataclass(frozen=True)
class _Row:
    """A relation in the record and in the catalog."""

    relation: str
    is_there: bool
    refresh_id: int | None = None
    rows: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    mode: str | None = None
    finished_at: datetime | None = None
    dag_id: str | None = None
    run_id: str | None = None
    certified_by: str | None = None
    certified_at: datetime | None = None
    withdrawn_by: str | None = None
    problem: str | None = None
    reused: str | None = None


def read_relations(
    connection: Connection, files: Files, latest: RunLine | None
) -> list[RelationNow]:
    """Read every relation that has a file, each after what it reads.

    Args:
        connection: a session whose search_path has no schema of the store.
        files: what the files say.
        latest: the run that held the lease last; only reuse by its current try counts.
    """
    names = list(files.relations)
    with connection.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(
            _RELATIONS,
            {
                "names": names,
                "quoted": [Name.parse(n).quoted for n in names],
                "dag": latest and latest.dag_id,
                "run": latest and latest.run_id,
            },
        ).fetchall()
    by_name = {row.relation: row for row in rows}
    return [_now(relation, by_name[name]) for name, relation in files.relations.items()]


NOT_PROVEN = (
    RelationState.MISSING,
    RelationState.NEVER,
    RelationState.UNPROVEN,
    RelationState.REVOKED,
    RelationState.REWRITTEN,
    RelationState.REFUSED,
)
"""States of relations of which the rows are not the certified ones."""


def standing_on(relations: list[RelationNow]) -> list[RelationNow]:
    """Each relation, with the unproven relations that it reads, at any distance."""
    labels = {r.name: r.label for r in relations}
    doubts: dict[str, set[str]] = {}
    for relation in relations:  # each after what it reads
        below = set().union(*(doubts.get(name, set()) for name in relation.reads))
        own = {relation.name} if relation.state in NOT_PROVEN else set()
        doubts[relation.name] = below | own
    return [
        r.model_copy(update={"stands_on": sorted(labels[n] for n in doubts[r.name] - {r.name})})
        for r in relations
    ]


def answered(
    relations: list[RelationNow], certificates: Mapping[str, Certificate]
) -> list[RelationNow]:
    """Each relation as whoever asks the database for it is answered.

    The database looks at rows and queries, too, and goes by what its views read, not the files.
    What it cannot tell at the moment stays as the record has it.
    """
    return [_answered(r, certificates[Name.parse(r.name).quoted]) for r in relations]


def _answered(relation: RelationNow, certificate: Certificate) -> RelationNow:
    if not certificate.is_known or not certificate.has_layers:
        return relation
    if certificate.refusal is None:
        return relation.model_copy(update={"stands_on": []})
    if relation.state in NOT_PROVEN or relation.stands_on:
        return relation
    words = f"Readers who ask are refused: {certificate.refusal}."
    return relation.model_copy(update={"state": RelationState.REFUSED, "state_words": words})


def not_proven(relation: RelationNow) -> list[str]:
    """The short names of what is unproven: the relation itself, and what it reads."""
    own = [relation.label] if relation.state in NOT_PROVEN else []
    return [*own, *relation.stands_on]


def undescribed(files: Files) -> list[RelationNow]:
    """Every relation that has a file, in a database that has none of them."""
    return [_now(r, _Row(relation=name, is_there=False)) for name, r in files.relations.items()]


def _now(relation: Described, row: _Row) -> RelationNow:
    state, words = _state(relation, row)
    return RelationNow(
        name=relation.name,
        label=relation.label,
        what=relation.what,
        grain=relation.grain,
        refresh=relation.refresh.value,
        level=relation.level,
        reads=list(relation.reads),
        state=state,
        state_words=words,
        rows=row.rows,
        bytes=row.bytes,
        seconds=row.seconds,
        mode=row.mode,
        refreshed_at=row.finished_at,
        dag_id=row.dag_id,
        run_id=row.run_id,
        reused=row.reused,
    )


def _state(relation: Described, row: _Row) -> tuple[RelationState, str]:
    """A relation's state, by the record and the catalog (``layer_now``)."""
    if not row.is_there:
        return RelationState.MISSING, "It is not in the database: run `bin/feature-store apply`."
    if not relation.is_refreshed:
        return RelationState.LIVE, "A plain view: it shows what it reads, at the moment of asking."
    if row.refresh_id is None:
        return RelationState.NEVER, "No run has refreshed it yet."
    if row.problem == "never certified":
        return RelationState.UNPROVEN, "It has never been certified."
    if row.problem == "refreshed":
        return (
            RelationState.UNPROVEN,
            f"Run {row.run_id} refreshed it at {row.finished_at:%Y-%m-%d %H:%M %Z} "
            "and has not been certified.",
        )
    if row.problem == "withdrawn":
        return RelationState.REVOKED, f"Run {row.withdrawn_by} found its rows broken."
    if row.problem == "rewritten":
        return (
            RelationState.REWRITTEN,
            "It was rewritten after it was certified: replaced by apply, refreshed by hand, "
            "or by VACUUM FULL.",
        )
    return (
        RelationState.CERTIFIED,
        f"Run {row.certified_by} certified it at {row.certified_at:%Y-%m-%d %H:%M %Z}.",
    )
