"""Reading feature sets: for inference as certified now, for training as they were served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from psycopg import sql

from feature_store.client.certified_sets import (
    ReadSet,
    find_sets,
    hold,
    require_certified,
    views_of,
    zone_of_the_store,
)
from feature_store.client.errors import bad_input
from feature_store.client.queries import Wanted, as_certified, as_served, choose, relations_of
from feature_store.client.snapshot import one_snapshot, set_for_now
from feature_store.client.tables import maker_of, read_rows
from feature_store.connection import Connection
from feature_store.errors import BadInput

if TYPE_CHECKING:
    import pandas
    import pyarrow

Sets = str | Sequence[str]
Moment = date | str
Span = timedelta | str


class _Options(TypedDict, total=False):
    """What both functions take by name, for the type checker: with ``to`` the table's type."""

    columns: Sequence[str] | None
    max_age: Span
    timeout: float


class _TrainingOptions(_Options, total=False):
    since: Moment | None
    until: Moment | None
    labels: bool
    rebuilt: bool
    most_lag: Span | None


@overload
def read_features(
    conninfo: str,
    feature_sets: Sets,
    ids: Iterable[object] | None = None,
    *,
    to: Literal["pandas"] = "pandas",
    **options: Unpack[_Options],
) -> pandas.DataFrame: ...
@overload
def read_features(
    conninfo: str,
    feature_sets: Sets,
    ids: Iterable[object] | None = None,
    *,
    to: Literal["arrow"],
    **options: Unpack[_Options],
) -> pyarrow.Table: ...
def read_features(
    conninfo: str,
    feature_sets: Sets,
    ids: Iterable[object] | None = None,
    *,
    columns: Sequence[str] | None = None,
    max_age: Span = "30 hours",
    timeout: float = 600,
    to: str = "pandas",
) -> Any:
    """Read feature sets as they are certified now, for inference.

    Args:
        conninfo: the database, as libpq reads it; ``""`` takes ``PGHOST`` and the others.
        feature_sets: the name of a set, or of several. The first says which rows there are. The
            others are joined to it by their entity and add the features that it lacks.
        ids: the entities to read, by their keys; None: all. An entity that the set does not
            have gives no row.
        columns: the features to read, in this order; None: all, in the contract's order.
        max_age: how long ago the rows may have been certified, at most.
        timeout: the most seconds from the moment that it is connected. To connect takes 10 at most
            for each server's address, or what ``connect_timeout`` says.
        to: ``pandas``, by the entity as index; or ``arrow``.

    Returns:
        The entity, ``t0`` and the features, ordered by entity. In pandas whole numbers are always
        floats, with or without NULL, and true or false is pandas' ``boolean``. An entity of type
        numeric is text: a float would not tell two of them apart. Infinite days and moments, and
        those outside the years 1 to 9999, are missing. ``frame.attrs["feature_store"]``, or the
        metadata of Arrow's schema, says which run certified each set.

    Raises:
        BadInput: an argument cannot be used; pandas or pyarrow is not installed.
        NotCertified: the current rows are not proven, or (`CertificationTooOld`) not recently.
        ContractBroken: stamp, rows of the contract and live relation are not one.
        NotReady: there is no store, or this login may not read it.
        TimedOut: it took too long.
        CannotConnect: the database cannot be reached, or went away.
    """
    make, names = maker_of(to), _names(feature_sets)
    wanted_ids = _ids(ids)
    with one_snapshot(conninfo, timeout, partial(views_of, names=names)) as connection:
        sets = find_sets(connection, names)
        _require_one_entity(sets, needed=ids is not None or len(sets) > 1)
        wanted = Wanted(sets, choose(sets, columns), ids=wanted_ids)
        query = as_certified(wanted, training=False)
        return _read(connection, wanted, query, served=False, max_age=max_age, make=make)


@overload
def read_training_set(
    conninfo: str,
    feature_sets: Sets,
    *,
    to: Literal["pandas"] = "pandas",
    **options: Unpack[_TrainingOptions],
) -> pandas.DataFrame: ...
@overload
def read_training_set(
    conninfo: str,
    feature_sets: Sets,
    *,
    to: Literal["arrow"],
    **options: Unpack[_TrainingOptions],
) -> pyarrow.Table: ...
def read_training_set(  # noqa: PLR0913  # the most by name, and they have defaults
    conninfo: str,
    feature_sets: Sets,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    columns: Sequence[str] | None = None,
    labels: bool = True,
    rebuilt: bool = False,
    most_lag: Span | None = "36 hours",
    max_age: Span = "30 hours",
    timeout: float = 600,
    to: str = "pandas",
) -> Any:
    """Read a training set: each entity as it was served, with its labels.

    Args:
        conninfo: the database, as in `read_features`.
        feature_sets: the name of a set that has a feature log, or of several.
        since: only t0 from here on: a day, a moment, or either as text. Days, and moments without a
            zone, are in the store's time zone.
        until: only t0 before this.
        columns: the features to read.
        labels: read the labels of the first set as they are now; leave out rows without any.
        rebuilt: read the store's rows of today instead of what was served, for days before the
            feature log began. docs/training.md says what that costs.
        most_lag: the longest time between t0 and serving; None: any. Rebuilt rows ignore it.
        max_age: how long ago the rows may have been certified.
        timeout: the most seconds from the moment that it is connected. To connect takes 10 at most
            for each server's address, or what ``connect_timeout`` says.
        to: ``pandas`` or ``arrow``.

    Returns:
        The entity, ``t0`` (never missing), the features and the labels; else as `read_features`.

    Raises:
        BadInput: as `read_features`; or a set has no feature log.
        StoreError: as `read_features`.
    """
    make, names = maker_of(to), _names(feature_sets)
    with one_snapshot(conninfo, timeout, partial(views_of, names=names)) as connection:
        sets = find_sets(connection, names)
        _require_one_entity(sets, needed=True)
        wanted = Wanted(
            sets,
            choose(sets, columns),
            labels=labels and bool(sets[0].labels),
            since=_text(since),
            until=_text(until),
            most_lag=None if rebuilt else _text(most_lag),
        )
        query = as_certified(wanted, training=True) if rebuilt else as_served(wanted)
        return _read(connection, wanted, query, served=not rebuilt, max_age=max_age, make=make)


def _read(
    connection: Connection,
    wanted: Wanted,
    query: sql.Composed,
    *,
    served: bool,
    max_age: Span,
    make: Any,
) -> Any:
    """In the open transaction: lock what is read, check that it is certified, read it."""
    zone = zone_of_the_store(connection) or "UTC"
    set_for_now(connection, "TimeZone", zone)
    _require_readable(connection, wanted)
    hold(connection, relations_of(wanted, served=served))
    certified = {
        s.name: {"contract_hash": s.contract_hash}
        | {k: str(v) for k, v in vars(require_certified(connection, s, str(max_age))).items()}
        for s in wanted.sets
    }
    metadata = {"feature_sets": certified, "rows": "served" if served else "certified"}
    entity = wanted.sets[0].entity
    return make(read_rows(connection, query, wanted.values, zone, entity), entity, metadata)


def _require_readable(connection: Connection, wanted: Wanted) -> None:
    """Let the server check the caller's values before any work."""
    kind = sql.SQL(wanted.sets[0].entity_type or "text")
    for what, value, cast in (
        ("ids", wanted.ids, sql.SQL("text[]::{}[]").format(kind)),
        ("since", wanted.since, sql.SQL("timestamptz")),
        ("until", wanted.until, sql.SQL("timestamptz")),
        ("most_lag", wanted.most_lag, sql.SQL("interval")),
    ):
        if value is not None:
            with bad_input(what):
                connection.execute(sql.SQL("SELECT %s::{}").format(cast), (value,))


def _require_one_entity(sets: Sequence[ReadSet], *, needed: bool) -> None:
    if not needed:
        return
    for feature_set in sets:
        if feature_set.entity is None:
            raise BadInput(
                f"The feature set {feature_set.name} has no feature log, so its entity and t0 "
                "are not known.",
                next_step="Name entity and t0 in its contract and stamp it; or call "
                "read_features for this set alone, without ids.",
            )
        if feature_set.entity != sets[0].entity:
            raise BadInput(
                f"{feature_set.name} has a row per {feature_set.entity}, {sets[0].name} a row "
                f"per {sets[0].entity}: they cannot be joined.",
                next_step="Read each of them by itself.",
            )


def _names(feature_sets: Sets) -> list[str]:
    names = [feature_sets] if isinstance(feature_sets, str) else list(feature_sets)
    if not names or not all(isinstance(name, str) for name in names):
        raise BadInput(f"feature_sets is {feature_sets!r}; expected a name, or several.")
    return list(dict.fromkeys(names))


def _ids(ids: Iterable[object] | None) -> list[str] | None:
    if isinstance(ids, str | bytes):
        raise BadInput(f"ids is {ids!r}; expected several, such as [{ids!r}].")
    return None if ids is None else [str(one) for one in ids]


def _text(value: date | timedelta | str | None) -> str | None:
    return None if value is None else str(value)
