"""Findings of history by day, one line each: which entities changed, and what that moves.

One late entity changes its day in several layers. Whoever answers wants to know the entity, not the
layers. So layers that name entities are shown, and the others only if no layer names any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Any

from feature_store.text_format import in_words, plural
from feature_store.validation.history.findings import HistoryFinding
from feature_store.validation.history.row_changes import CHANGE

_MOST = 5


def by_day(findings: Iterable[HistoryFinding], key: str) -> dict[date, str]:
    """What changed on each day, in a line that begins with the day, in the order of the days.

    Args:
        findings: of any days.
        key: the column that names the store's entities; empty: none.
    """
    return {day: f"{day}: {words}" for day, words in words_by_day(findings, key).items()}


def words_by_day(findings: Iterable[HistoryFinding], key: str) -> dict[date, str]:
    """The same without the day, for whoever has it in a heading."""
    dated = sorted((f for f in findings if f.day), key=lambda f: (f.day, f.layer))
    days = groupby(dated, lambda f: f.day)
    return {day: _words(list(of_day), key) for day, of_day in days if day}


def _words(findings: list[HistoryFinding], key: str) -> str:
    told = list(_entities(findings, key)) or [_counted(finding) for finding in findings]
    moved: dict[str, int] = {}
    for finding in findings:
        for reach in finding.reaches:
            moved[reach.output] = max(reach.moved, moved.get(reach.output, 0))
    moves = [f"{output} on {plural(n, 'day')}" for output, n in sorted(moved.items()) if n]
    if moves:
        told.append(f"this moves {', '.join(moves)}")
    elif moved:
        told.append("this moves nothing")
    return "; ".join(told)


def _entities(findings: list[HistoryFinding], key: str) -> Iterator[str]:
    """The entities that came, went and changed, from the layers that name them."""
    how: dict[Any, set[str]] = {}
    to: dict[Any, str] = {}
    named = [f for f in findings if any(key in e for e in f.difference.examples)]
    for finding in named:
        for example in finding.difference.examples:
            how.setdefault(example[key], set()).add(example["row"])
            if CHANGE in example:
                to.setdefault(example[key], example[CHANGE])
    # If equal rows are legal, a changed row counts as one that went and one that came.
    changed = [n for n, ways in how.items() if "changed" in ways or len(ways) > 1]
    columns = dict.fromkeys(c for f in named for c in f.difference.columns)
    words = (
        ("came late", [n for n, ways in how.items() if ways == {"came"}], "came"),
        ("went", [n for n, ways in how.items() if ways == {"went"}], "went"),
        (f"changed in {in_words(list(columns))}" if columns else "changed", changed, "changed"),
    )
    noun = key.removesuffix("_id").replace("_", " ")
    for what, entities, kind in words:
        if entities:
            many = _how_many(named, key, kind, len(entities), noun)
            yield f"{many} {what}, {_some(entities, to)}"


def _how_many(named: list[HistoryFinding], key: str, kind: str, known: int, noun: str) -> str:
    """How many entities; or rows, where only these are counted and an entity has several."""
    if all(len(f.difference.examples) == _rows(f) for f in named):
        return plural(known, noun)
    once = [f for f in named if _names_each_once(f, key)]
    counted = max(getattr(f.difference, kind) for f in once or named)
    if once:
        return plural(max(counted, known), noun)
    return f"{plural(counted, 'row')} of {plural(2, noun).partition(' ')[2]}"


def _rows(finding: HistoryFinding) -> int:
    d = finding.difference
    return d.came + d.went + d.changed


def _names_each_once(finding: HistoryFinding, key: str) -> bool:
    examples = finding.difference.examples
    return len({example.get(key) for example in examples}) == len(examples)


def _some(entities: list[Any], to: dict[Any, str]) -> str:
    in_order = sorted(entities, key=lambda n: (n is None, n))  # NULL is a value of a key, the last
    told = {n: "NULL" if n is None else str(n) for n in in_order[:_MOST]}
    shown = ", ".join(f"{name} ({to[n]})" if n in to else name for n, name in told.items())
    return f"{shown}, …" if len(entities) > _MOST else shown


def _counted(finding: HistoryFinding) -> str:
    d = finding.difference
    ways = ((d.came, "came"), (d.went, "went"), (d.changed, "changed"))
    told = [f"{plural(n, 'row')} {what}" for n, what in ways if n]
    where = f" in {in_words(list(d.columns))}" if d.columns else ""
    return f"{finding.layer}: {', '.join(told) or 'its fingerprint changed'}{where}"
