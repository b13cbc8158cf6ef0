"""What was served, in words and tables: how much is logged, and how far today has moved from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from feature_store.connection import Connection
from feature_store.database.catalog import column_types
from feature_store.declarations.declared_exceptions import DeclaredException
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.schema.feature_logs.feature_log import has_logs, log_of
from feature_store.text_format import plural, text_table
from feature_store.validation.far_dates import read_far_dates
from feature_store.validation.skew import AGES, ALL

# Of the latest try that compared the set: the newest of all may have stopped before it came to it.
_SKEW = """
SELECT k.feature_set, k.feature, k.run_id, k.age, k.compared, k.differing, k.typical, k.gone
FROM feature_store_audit.feature_skew AS k
WHERE
    k.suite_event = (
        SELECT max(n.suite_event)
        FROM feature_store_audit.feature_skew AS n
        WHERE n.feature_set = k.feature_set
    )
"""
_LOGGED = """
SELECT l.feature_set, coalesce(sum(s.row_count), 0), count(s.serving), min(s.sealed_at)::date
FROM feature_store_audit.feature_log AS l
LEFT JOIN feature_store_audit.seal AS s ON l.feature_set = s.feature_set
GROUP BY l.feature_set
ORDER BY l.feature_set
"""


@dataclass(frozen=True)
class SkewLine:
    """What a run found of one feature and age; see ``feature_store_audit.feature_skew_log``."""

    feature_set: str
    feature: str
    run_id: str
    age: str
    compared: int
    differing: int
    typical: float | None
    gone: int

    @property
    def share(self) -> float:
        """Of the rows that were compared, how many differ."""
        return self.differing / self.compared if self.compared else 0.0


def latest_skew(connection: Connection) -> list[SkewLine]:
    """What the latest run that compared a set found of it; nothing before the first."""
    if not has_logs(connection):
        return []
    with connection.cursor(row_factory=class_row(SkewLine)) as cursor:
        return cursor.execute(_SKEW).fetchall()


def logged_in_words(connection: Connection) -> list[str]:
    """How many rows each log has, one line a log."""
    if not has_logs(connection):
        return []
    return [
        f"{log}: {plural(rows, 'row')}, of {plural(nights, 'night')} since {since}"
        if rows
        else f"{log}: nothing yet; the next run that certifies starts it"
        for log, rows, nights, since in connection.execute(_LOGGED)
    ]


def skew_in_words(lines: Iterable[SkewLine]) -> str:
    """The skew of each set, the largest first; features that did not move are only counted."""
    found = list(lines)
    if not found:
        return "No run has compared anything yet: the first run only starts the logs."
    parts = []
    for run_id in sorted({line.run_id for line in found}):
        parts.append(f"Measured by run {run_id}.")
        mine = [line for line in found if line.run_id == run_id]
        parts += [
            _of_set(name, [line for line in mine if line.feature_set == name])
            for name in sorted({line.feature_set for line in mine})
        ]
    return "\n\n".join(parts)


def _of_set(name: str, lines: list[SkewLine]) -> str:
    by_age = {(line.feature, line.age): line for line in lines}
    whole = sorted(
        (line for line in lines if line.age == ALL), key=lambda line: (-line.share, line.feature)
    )
    moved = [line for line in whole if line.differing]
    head = (
        f"{name}: {whole[0].compared:,} rows compared, {whole[0].gone:,} no longer there. "
        f"{len(moved)} of {len(whole)} features moved."
    )
    if not moved:
        return head
    header = ("feature", "share", "typically by", *AGES)
    rows = [
        (
            line.feature,
            f"{line.share:.1%}",
            "" if line.typical is None else f"{line.typical:.4g}",
            *(
                f"{found.share:.1%}" if (found := by_age.get((line.feature, age))) else ""
                for age in AGES
            ),
        )
        for line in moved
    ]
    return f"{head}\n{text_table([header, *rows], right=(1, 2, 3, 4, 5))}"


def with_skew(exception: DeclaredException, lines: Iterable[SkewLine]) -> str:
    """A declared exception with its reason and its measured skew."""
    mine = [
        line
        for line in lines
        if line.age == ALL and line.feature in exception.taints.get(line.feature_set, ())
    ]
    if not mine:
        return f"{exception}\nMeasured: nothing yet."
    most = max(mine, key=lambda line: line.share)
    moved = sum(line.differing > 0 for line in mine)
    told = (
        f"{exception}\nMeasured: {moved} of its {len(mine)} features moved since they were served"
    )
    if not moved:
        return f"{told}, in {most.compared:,} rows."
    return f"{told}. {most.feature} moved most, in {most.share:.1%} of {most.compared:,} rows."


@dataclass(frozen=True)
class ServedEntity:
    """One entity's features, as they were served and as they are today.

    Attributes:
        words: which entity, and when it was served.
        rows: one for each feature: ``feature``, ``served``, ``today``, ``differs``.
    """

    words: str
    rows: list[dict[str, Any]]


def read_entity(connection: Connection, feature_set: FeatureSet, entity: str) -> ServedEntity:
    """Read what was served for an entity, and what the set has for it today.

    Raises:
        BadInput: the log does not have it, or it has the wrong type.
    """
    served = feature_set.served
    assert served is not None  # the caller looks
    log, said = log_of(feature_set), entity if entity.strip() else repr(entity)
    if not column_types(connection, log):
        raise BadInput(
            f"{feature_set.name} has no feature log yet.",
            next_step=f"Stamp it: bin/feature-store stamp-contract {feature_set.name}",
        )
    then = _row(connection, log, log, served.entity, entity)
    if then is None:
        raise BadInput(
            f"{log} has no {served.entity} {said}.",
            next_step="Choose one that a run has certified.",
        )
    now = _row(connection, feature_set.relation, log, served.entity, entity)
    rows = []
    for feature in feature_set.features:
        was = then.get(feature.name)
        today = None if now is None else now.get(feature.name)  # or not stamped yet
        told = {"served": was, "today": today, "differs": _differ(was, today)}
        rows.append({"feature": feature.name, **told})
    gone = "" if now else " The set no longer has it."
    return ServedEntity(
        f"{served.entity} {said}, served by run {then['run_id']} at {then['served_at']}, "
        f"{then['served_after']} after t0.{gone}",
        rows,
    )


def _differ(was: Any, today: Any) -> bool:
    """As the server says it, to which NaN equals itself."""
    both_nan = was != was and today != today  # Python's does not
    return bool(was != today and not both_nan)


def served_beside_today(entity: ServedEntity) -> str:
    """The same as a table."""
    rows = [
        (
            row["feature"],
            _shown(row["served"]),
            _shown(row["today"]),
            "differs" if row["differs"] else "",
        )
        for row in entity.rows
    ]
    return f"{entity.words}\n{text_table([('feature', 'served', 'today', ''), *rows])}"


def _row(
    connection: Connection, relation: Name, log: Name, column: str, entity: str
) -> dict[str, Any] | None:
    # Cast to the column's own type, so that an index finds it and no other row is read.
    kind = column_types(connection, log).get(column, "text")
    query = sql.SQL("SELECT * FROM {} AS f WHERE f.{} = CAST(%s::text AS {})").format(
        relation.identifier, sql.Identifier(column), sql.SQL(kind)
    )
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            read_far_dates(cursor.adapters)
            return cursor.execute(query, (entity,)).fetchone()
    except psycopg.DataError as error:
        if error.sqlstate is None:  # not the server's: it took the entity
            raise
        raise BadInput(f"{entity!r} is not a {column}: in {log} it is of type {kind}.") from None


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
