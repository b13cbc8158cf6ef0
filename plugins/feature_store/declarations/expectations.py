"""Expectations as files, ``include/sql/expectations/SUITE/NAME.sql``: queries of unexpected rows.

The header says what must hold, of which relation, and how severe a breach is. ``:name`` in a query
stands for a number of ``include/thresholds.toml``, as it does in psql. Two kinds more come from
what is there already: every unique key of a relation, and every specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from psycopg import sql

from feature_store.declarations.sql_header import read_header
from feature_store.declarations.store_definition import Store
from feature_store.declarations.text_file import files_in, read_text
from feature_store.declarations.thresholds import filled_in, read_thresholds
from feature_store.errors import BadInput
from feature_store.relation_name import Name

SEVERITIES = ("critical", "warning")
_NONE: Mapping[Name, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class Expectation:
    """Something that must hold.

    Attributes:
        suite: one of `dag_outline.SUITES`.
        name: unique within the suite.
        relation: the relation that it is about.
        severity: ``critical`` fails the run, ``warning`` is reported.
        expected: what must hold, in words.
        query: selects the rows that breach it, the telling columns first; none if it holds.
    """

    suite: str
    name: str
    relation: str
    severity: str
    expected: str
    query: str


def read_expectations(
    include_dir: Path,
    store: Store,
    suite: str,
    other_keys: Mapping[Name, tuple[str, ...]] = _NONE,
) -> tuple[Expectation, ...]:
    """All expectations of a suite.

    Args:
        include_dir: where the files are.
        store: the relations, each with the keys that its file declares.
        suite: its name, one of `dag_outline.SUITES`.
        other_keys: by which adopted relations are unique instead (`adoption.read_other_keys`).

    Raises:
        BadInput: a file without the header, with an unknown severity or an unknown threshold.
    """
    thresholds = read_thresholds(include_dir)
    found = [_read(path, suite, thresholds) for path in _files(include_dir, suite)]
    if suite == "uniqueness":
        found += _keys(store, other_keys)
    if suite == "as_of_counts":
        specified = [r.specification for r in store.relations if r.specification]
        found += [_proof(str(s.relation), s.title) for s in specified]
    return tuple(found)


def _files(include_dir: Path, suite: str) -> list[Path]:
    return files_in(include_dir / "sql" / "expectations" / suite, ".sql")


def _read(path: Path, suite: str, thresholds: dict[str, float]) -> Expectation:
    text = read_text(path)
    header = read_header(path, text, ("Expectation", "Relation", "Severity"))
    if header["Severity"] not in SEVERITIES:
        raise BadInput(
            f"{path}: the severity is {header['Severity']!r}; expected one of "
            f"{', '.join(SEVERITIES)}."
        )
    return Expectation(
        suite=suite,
        name=path.stem,
        relation=header["Relation"],
        severity=header["Severity"],
        expected=header["Expectation"],
        query=filled_in(path, text, thresholds),
    )


def _keys(store: Store, other_keys: Mapping[Name, tuple[str, ...]]) -> Iterator[Expectation]:
    for relation in store.refreshed:
        for index, declared in sorted(relation.file.unique_indexes.items()):
            columns = other_keys.get(relation.name, declared)
            key = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
            query = sql.SQL(
                "SELECT {0}, count(*) AS found FROM {1} GROUP BY {0} HAVING count(*) > 1"
            )
            yield Expectation(
                suite="uniqueness",
                name=f"key_{index}",
                relation=str(relation.name),
                severity="critical",
                expected=f"one row per {', '.join(columns)}",
                query=query.format(key, relation.name.identifier).as_string(),
            )


def _proof(relation: str, title: str) -> Expectation:
    # What was never compared is not proven. Whether all there is was compared, a proof says itself.
    query = sql.SQL(
        "SELECT coalesce(p.broken, 0) AS broken, coalesce(p.compared, 0) AS compared, p.sample "
        "FROM (SELECT {} AS proof) AS wanted "
        "LEFT JOIN feature_store_audit.this_run AS t ON TRUE "
        "LEFT JOIN feature_store_audit.proof AS p "
        "ON p.dag_id = t.dag_id AND p.run_id = t.run_id AND p.proof = wanted.proof "
        "WHERE p.broken IS DISTINCT FROM 0"
    )
    return Expectation(
        suite="as_of_counts",
        name=relation,
        relation=relation,
        severity="critical",
        expected=f"{title} (sql/specifications/{relation}.sql)",
        query=query.format(sql.Literal(relation)).as_string(),
    )
