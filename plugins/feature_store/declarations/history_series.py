"""The layers whose history is kept: one file each in ``include/sql/history``.

A file's query gives what is fingerprinted: the day of the event, then the columns. Its header says
how changes are judged and, for an output, on which days of which layers it may depend: ``E 0; D1
-14..-1; F1 ..-1`` means the same day, the two weeks before it, and all days before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from sqlglot import exp

from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.sql_statement import parse, read_query
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.known_columns import given_columns, known_columns
from feature_store.declarations.store_definition import Relation, Store, closure
from feature_store.errors import BadInput
from feature_store.relation_name import Name

_WINDOW = re.compile(r"(?P<layer>\S.*?) +(?P<first>-?\d{1,5})?(?P<to>\.\.)?(?P<last>-?\d{1,5})?")
# A word of prose after it says why; a column's name may begin with it.
_NO_KEY = re.compile(r"none *([,:;.(].*)?", re.DOTALL)


class Role(StrEnum):
    """How a change of a layer's past is judged."""

    INPUT = "input"  # by age: young days settle, old ones are reviewed
    OUTPUT = "output"  # by its inputs: a change without cause is a leak
    LINK = "link"  # not judged itself: it is between outputs and narrows what they depend on
    REPORTED = "reported"  # not judged: a declared exception, whose past may change


@dataclass(frozen=True)
class Window:
    """Days of another layer, counted from a layer's own day.

    Attributes:
        layer: the other layer.
        first: the first of these days, None for all the past.
        last: the last of them.
    """

    layer: str
    first: int | None
    last: int

    def __str__(self) -> str:
        if self.first is None:
            return f"{self.layer} ..{self.last}"
        if self.first == self.last:
            return f"{self.layer} {self.last}"
        return f"{self.layer} {self.first}..{self.last}"


@dataclass(frozen=True)
class HistorySeries:
    """A layer whose history is kept.

    Attributes:
        name: its name (``E``).
        title: what it is, in words.
        role: how its past is judged.
        relation: the relation that it shows.
        key: the columns that identify a row of a day; empty if equal rows are legal.
        depends: what a day of it may depend on.
        appears: the layer whose days decide which days this one has.
        query: gives ``day`` and the columns.
        normal: the query, normalised.
        shows: the store's relations that the query reads.
        stands_on: the materialized views that the query's rows come from, each with those that it
            reads itself.
        closure: every relation of ours that the query shows, and what it is made of.
        counts: the columns that count rows, by what they count: rows of the sources in an input,
            rows of the layers that it depends on in an output. One more such row moves them.
        weighs: by layer, the other columns that such a row may move.
        known: for an input whose rows name no entity, the fact of its refresh that says, by day,
            which entities are behind the rows.
    """

    name: str
    title: str
    role: Role
    relation: str
    key: tuple[str, ...]
    depends: tuple[Window, ...]
    appears: str | None
    query: str
    normal: str
    shows: tuple[Name, ...]
    stands_on: tuple[tuple[str, tuple[str, ...]], ...]
    closure: tuple[str, ...]
    counts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weighs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known: str | None = None

    @property
    def counted(self) -> frozenset[str]:
        """All columns that count."""
        return frozenset(column for columns in self.counts.values() for column in columns)


def read_history(include_dir: Path, store: Store) -> tuple[HistorySeries, ...]:
    """Read all layers.

    Raises:
        BadInput: a file cannot be used, or a layer depends on an unknown one.
    """
    paths = files_in(include_dir / "sql" / "history", ".sql")
    layers = tuple(_read(path, store) for path in paths)
    names = {layer.name for layer in layers}
    called = [layer.name for layer in layers]
    for path, name in zip(paths, called, strict=True):
        if called.count(name) > 1:
            raise BadInput(f"{path}: another file has the layer {name!r}, too.")
    for path, layer in zip(paths, layers, strict=True):
        named = {window.layer for window in layer.depends} | {layer.appears or layer.name}
        named |= layer.counts.keys() | layer.weighs.keys()
        if unknown := named - names:
            raise BadInput(f"{path} depends on {', '.join(sorted(unknown))}, which no file has.")
    try:
        in_order(layers)
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise BadInput(f"Layers of history depend on each other in a circle: {circle}.") from None
    return layers


def in_order(layers: Iterable[HistorySeries]) -> list[HistorySeries]:
    """The layers in order: each after those that it depends on."""
    by_name = {layer.name: layer for layer in layers}
    below = {
        name: [w.layer for w in layer.depends] + ([layer.appears] if layer.appears else [])
        for name, layer in by_name.items()
    }
    return [by_name[name] for name in TopologicalSorter(below).static_order()]


def reach(layers: Iterable[HistorySeries], name: str) -> dict[str, tuple[int, int | None]]:
    """The output days that a day of a layer can move, directly or through other outputs.

    Returns:
        By output: the first and the last of these days, counted from the layer's own; None where
        all later days are.
    """
    by_name = {layer.name: layer for layer in layers}
    found: dict[str, tuple[int, int | None]] = {}
    pending: list[tuple[str, int, int | None]] = [(name, 0, 0)]
    while pending:
        source, low, high = pending.pop()
        for layer in by_name.values():
            for window in layer.depends:
                if window.layer != source:
                    continue
                first = low - window.last
                last = None if high is None or window.first is None else high - window.first
                known = found.get(layer.name)
                wider = _wider(known, (first, last))
                if wider != known:
                    found[layer.name] = wider
                    pending.append((layer.name, *wider))
    return {n: days for n, days in found.items() if by_name[n].role is Role.OUTPUT}


def _wider(
    known: tuple[int, int | None] | None, found: tuple[int, int | None]
) -> tuple[int, int | None]:
    if known is None:
        return found
    last = None if known[1] is None or found[1] is None else max(known[1], found[1])
    return min(known[0], found[0]), last


def _read(path: Path, store: Store) -> HistorySeries:
    text = read_text(path)
    query = read_query(path, text)
    header = read_header(path, text, ("History", "Role", "Relation", "Day", "Key"))
    name, _, title = header["History"].partition(", ")
    role = header["Role"].split(",")[0]
    if role not in set(Role):
        raise BadInput(f"{path}: the role is {role!r}; expected one of {', '.join(Role)}.")
    columns = given_columns(path, query.text, lambda name: _known(store).get(name))
    reads = [store.find(str(read)) for read in sorted(_reads(path, query.text))]
    return HistorySeries(
        name=name,
        title=title,
        role=Role(role),
        relation=str(store.find(header["Relation"].split()[0]).name),
        key=_key(path, header["Key"], columns),
        depends=tuple(_window(path, text) for text in header.get("Depends", "").split(";") if text),
        appears=header["Appears"].partition(".")[0] if "Appears" in header else None,
        counts=_columns(header.get("Counts", ""), name, columns),
        weighs=_columns(header.get("Weighs", ""), name, columns),
        known=header.get("Known"),
        query=query.text,
        normal=query.normal,
        shows=tuple(relation.name for relation in reads),
        stands_on=tuple(_stands_on(store, reads)),
        closure=tuple(sorted(_closure(store, reads))),
    )


def _known(store: Store) -> dict[Name, tuple[str, ...] | None]:
    return known_columns({relation.name: relation.file for relation in store.relations})


def _key(path: Path, words: str, columns: tuple[str, ...] | None) -> tuple[str, ...]:
    if _NO_KEY.fullmatch(words):
        return ()
    key = tuple(_listed(words, columns))
    if unknown := [name for name in key if columns is not None and name not in columns]:
        raise BadInput(
            f"{path}: Key: the query gives no column {', '.join(unknown)}.",
            next_step="Name columns of the query, with commas between them; or write none.",
        )
    return key


def _listed(words: str, columns: tuple[str, ...] | None) -> Iterator[str]:
    """Columns with commas between them; blanks, as earlier versions took, if no name has them."""
    for name in filter(None, map(str.strip, words.split(","))):
        parts = name.split()
        is_old = columns is not None and name not in columns and set(parts) <= {*columns}
        yield from parts if is_old else [name]


def _columns(words: str, own: str, columns: tuple[str, ...] | None) -> dict[str, tuple[str, ...]]:
    """Columns, by layer: ``D1: a, b; D2: c``; without a layer they are by the layer itself."""
    found = {}
    for part in words.partition(".")[0].split(";") if words else ():
        layer, _, listed = part.rpartition(":")
        found[layer.strip() or own] = tuple(_listed(listed, columns))
    return found


def _window(path: Path, text: str) -> Window:
    match = _WINDOW.fullmatch(text.strip())
    last = match and (match["last"] or (match["first"] if not match["to"] else None))
    if not match or not last:
        raise BadInput(
            f"{path}: {text.strip()!r} is not a window of days.",
            next_step="Write a layer and its days, counted from this layer's day: E 0, D1 "
            "-14..-1, F1 ..-1",
        )
    return Window(match["layer"], int(match["first"]) if match["first"] else None, int(last))


def _reads(path: Path, query: str) -> set[Name]:
    return {Name(t.db, t.name) for t in parse(path, query).find_all(exp.Table) if t.db}


def _stands_on(store: Store, reads: list[Relation]) -> Iterator[tuple[str, tuple[str, ...]]]:
    shown = _closure(store, reads)
    for relation in store.refreshed:
        if str(relation.name) in shown:
            yield str(relation.name), tuple(str(r.name) for r in store.refreshed_before(relation))


def _closure(store: Store, reads: list[Relation]) -> set[str]:
    return {str(below.name) for relation in reads for below in closure(store, relation)}
