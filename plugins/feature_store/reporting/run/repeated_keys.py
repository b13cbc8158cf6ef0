"""What to do about keys that are there twice: the queries that show their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from psycopg import sql

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.expectations import KEY
from feature_store.declarations.source_tables import Source
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.suites import Check, suite_of
from feature_store.errors import StoreError
from feature_store.relation_name import Name
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.run_again import relation_of
from feature_store.reporting.run.step import Step
from feature_store.text_format import plural


def both_rows(tasks: Sequence[str], twice: Sequence[Finding], include_dir: Path) -> Iterator[Step]:
    """Queries for rows that share a key, one for each source of the relation with that key."""
    try:
        store = read_store(include_dir)
    except StoreError:
        return  # prepare reports a folder that cannot be read
    names = {finding.relation for finding in twice}
    refreshed = {relation_of(task) for task in tasks}
    # What base layers read has a row for each edit, so a repeated key is normal there.
    edits = {s for r in store.refreshed if r.refresh is Refresh.BLOCKING for s in r.sources}
    for relation in store.refreshed:
        if str(relation.name) not in names and relation.name.relation not in refreshed:
            continue
        keys = [tuple(sorted(key)) for key in relation.file.unique_indexes.values()]
        mine = [f for f in twice if f.relation == str(relation.name) and f.sample]
        keys += [tuple(sorted(f.sample[0])) for f in mine]
        for source in store.sources:
            for key in keys if source.name in relation.sources else ():
                if source.name not in edits and source.columns.keys() >= set(key):
                    words = f"To see the rows of {source.name} that share a key, if there are any:"
                    yield Step(words, _twice(source.name, key))


def seen_twice(critical: Sequence[Finding], include_dir: Path) -> list[tuple[Finding, Step]]:
    """What the store's own queries say of keys that a source has twice: the rows to delete.

    Such a query is in the suite that checks keys, says which source it is about, and counts.
    """
    try:
        keys_in = suite_of(include_dir, Check.KEYS)
        found = [f for f in critical if f.suite == keys_in and f.compared is None and f.sample]
        sources = read_store(include_dir).sources if found else ()
    except StoreError:
        return []  # prepare reports a folder that cannot be read
    return [
        (finding, step)
        for finding in found
        for source in sources
        if _names(finding.expected, source)
        for step in _to_delete(finding, source)
    ]


def _names(expected: str, source: Source) -> bool:
    """Whether a sentence names a source, and not one whose name begins or ends alike."""
    name = re.escape(str(source.name))
    return re.search(rf"(?<![\w.]){name}(?!\.?\w)", expected.replace('"', "")) is not None


def _to_delete(finding: Finding, source: Source) -> Iterator[Step]:
    row = finding.sample[0]
    # Sorted, as the record keeps no order of columns.
    key = sorted(column for column in row if column in source.columns)
    counts = [value for column, value in row.items() if column not in source.columns]
    if not key or [isinstance(n, int) and n > 1 for n in counts] != [True]:
        return
    named = ", ".join(f"{column} {row[column]}" for column in key)
    others = (finding.breaching or len(finding.sample)) - 1
    more = f", and so on for {plural(others, 'more key')}" if others else ""
    words = f"{source.name} has {counts[0]} rows for {named}{more}. Delete all but one:"
    yield Step(words, _twice(source.name, key))


def repeated(critical: Sequence[Finding], include_dir: Path) -> list[Finding]:
    """Findings of a key that is there twice. The same suite may also check other things."""
    try:
        keys_in = suite_of(include_dir, Check.KEYS)
    except StoreError:
        return []  # prepare reports a folder that cannot be read
    return [
        finding
        for finding in critical
        if finding.suite == keys_in and finding.expectation.startswith(KEY)
    ]


def _twice(source: Name, key: Sequence[str]) -> str:
    columns = sql.SQL(", ").join(map(sql.Identifier, key))
    return (
        sql.SQL(
            "SELECT * FROM {0} WHERE ({1}) IN (SELECT {1} FROM {0} GROUP BY {1} "
            "HAVING count(*) > 1) ORDER BY {1};"
        )
        .format(source.identifier, columns)
        .as_string()
    )
