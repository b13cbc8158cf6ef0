"""The two queries of the client: the sets as certified now, and the logs of what was served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from feature_store.client.certified_sets import ReadSet
from feature_store.client.tables import is_held
from feature_store.errors import BadInput
from feature_store.relation_name import Name


@dataclass(frozen=True)
class Wanted:
    """What to read from the store.

    Attributes:
        sets: the feature sets; the first says which rows there are.
        columns: the features, in order, each with the place of the set that has it.
        labels: whether to read labels and leave out rows without any.
        ids: only these entities; None: all.
        since: the first moment of t0, as PostgreSQL reads it.
        until: the first moment of t0 that is left out.
        most_lag: how long after t0 a row may have been served, at most; None: as long as it took.
    """

    sets: Sequence[ReadSet]
    columns: dict[str, int]
    labels: bool = False
    ids: list[str] | None = None
    since: str | None = None
    until: str | None = None
    most_lag: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values that the queries bind."""
        return {
            "ids": self.ids,
            "since": self.since,
            "until": self.until,
            "most_lag": self.most_lag,
        }


def choose(sets: Sequence[ReadSet], columns: Sequence[str] | None) -> dict[str, int]:
    """The features to read, in order, each from the first set that has it.

    Raises:
        BadInput: a column is not a feature of any of the sets.
    """
    places: dict[str, int] = {}
    for place, feature_set in enumerate(sets):
        for feature in feature_set.values:
            places.setdefault(feature, place)
    if columns is None:
        return places
    if unknown := [column for column in columns if column not in places]:
        raise BadInput(
            f"{' and '.join(s.name for s in sets)} {'has' if len(sets) == 1 else 'have'} "
            f"no feature called "
            f"{', '.join(map(repr, unknown))}.",
            next_step="Name features of the contract. Entity, t0 and labels are always included.",
        )
    return {column: places[column] for column in columns}


def as_certified(wanted: Wanted, *, training: bool) -> sql.Composed:
    """The query of the sets as certified now; for training, only rows with a t0 that is held."""
    first = wanted.sets[0]
    columns: list[sql.Composable] = []
    sources: list[sql.Composable] = [sql.SQL("{} AS s0").format(first.relation.identifier)]
    conditions: list[sql.Composable] = []
    if first.entity and first.t0_relation and first.t0_column:
        entity, t0 = _of("s0", first.entity), _of("t", first.t0_column)
        columns += [entity, _moment(t0)]
        sources.append(_join(sql.SQL(first.t0_relation), "t", first.entity))
        for place, other in enumerate(wanted.sets[1:], start=1):
            sources.append(_join(other.relation.identifier, f"s{place}", first.entity))
        # The log has no row without one, and no data frame can have it in its index.
        conditions.append(sql.SQL("{} IS NOT NULL").format(entity))
        conditions += _conditions(wanted, entity, t0)
        if training:
            conditions.append(is_held(t0))
    columns += _features(wanted)
    if wanted.labels and first.entity:
        places: dict[Name, str] = {}
        for label in first.labels:
            places.setdefault(label.relation, f"label_{len(places)}")
        labels = [_of(places[label.relation], label.name) for label in first.labels]
        for relation, alias in places.items():
            sources.append(_join(relation.identifier, alias, first.entity))
        columns += labels
        conditions.append(_has_any(labels))
    return _select(columns, sources, conditions)


def as_served(wanted: Wanted) -> sql.Composed:
    """The query of the logs: features as they were served, labels as they are now."""
    first = wanted.sets[0]
    assert first.entity is not None  # `reading` asks for a log first
    entity, t0 = _of("s0", first.entity), _of("s0", "t0")
    sources: list[sql.Composable] = [sql.SQL("{} AS s0").format(first.training_view.identifier)]
    for place, other in enumerate(wanted.sets[1:], start=1):
        join = _join(other.training_view.identifier, f"s{place}", first.entity)
        on_time = [_in_time(f"s{place}")] if wanted.most_lag else []
        sources.append(sql.SQL(" AND ").join([join, *on_time]))
    labels = [_of("s0", label.name) for label in first.labels] if wanted.labels else []
    conditions = [
        *_conditions(wanted, entity, t0),
        is_held(t0),
        *([_in_time("s0")] if wanted.most_lag else []),
        *([_has_any(labels)] if wanted.labels else []),
    ]
    return _select([entity, t0, *_features(wanted), *labels], sources, conditions)


def relations_of(wanted: Wanted, *, served: bool) -> list[sql.Composable]:
    """The relations that one of the queries reads; a training view stands for what it reads."""
    read: dict[str, sql.Composable] = {}
    for feature_set in wanted.sets:
        names: list[sql.Composable] = [feature_set.relation.identifier]
        if served:
            names.append(feature_set.training_view.identifier)
        elif feature_set.t0_relation:
            names.append(sql.SQL(feature_set.t0_relation))
        if wanted.labels and not served:
            names += [label.relation.identifier for label in feature_set.labels]
        read |= {name.as_string(): name for name in names}
    return list(read.values())


def _of(alias: str, column: str) -> sql.Composable:
    return sql.Identifier(alias, column)


def _moment(t0: sql.Composable) -> sql.Composed:
    """A t0 as the log has it, in the session's time zone: a day begins at its midnight.

    The server has days that are too far to be a moment; one of them would end the whole query.
    """
    return sql.SQL("CASE WHEN {} THEN {}::timestamptz END AS t0").format(is_held(t0), t0)


def _features(wanted: Wanted) -> list[sql.Composable]:
    return [_of(f"s{place}", column) for column, place in wanted.columns.items()]


def _join(relation: sql.Composable, alias: str, entity: str) -> sql.Composable:
    return sql.SQL("LEFT JOIN {} AS {} ON {} = {}").format(
        relation, sql.Identifier(alias), _of("s0", entity), _of(alias, entity)
    )


def _conditions(wanted: Wanted, entity: sql.Composable, t0: sql.Composable) -> list[sql.Composable]:
    found: list[sql.Composable] = []
    if wanted.ids is not None:
        kind = sql.SQL(wanted.sets[0].entity_type or "text")
        found.append(sql.SQL("{} = ANY(%(ids)s::text[]::{}[])").format(entity, kind))
    if wanted.since is not None:
        found.append(sql.SQL("{} >= %(since)s::timestamptz").format(t0))
    if wanted.until is not None:
        found.append(sql.SQL("{} < %(until)s::timestamptz").format(t0))
    return found


def _in_time(alias: str) -> sql.Composable:
    return sql.SQL("{} <= %(most_lag)s::interval").format(_of(alias, "served_after"))


def _has_any(columns: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL("num_nonnulls({}) > 0").format(sql.SQL(", ").join(columns))


def _select(
    columns: Iterable[sql.Composable],
    sources: Iterable[sql.Composable],
    conditions: Iterable[sql.Composable],
) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(columns),
        sql.SQL(" ").join(sources),
        sql.SQL(" AND ").join([sql.SQL("true"), *conditions]),
    )
