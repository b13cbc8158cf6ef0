"""Expectations: queries that find rows which should not be there, suite by suite.

A store's own are files, ``include/sql/expectations/SUITE/NAME.sql``; a few for any store are files
of the package. The header says what must hold, for which relation, and how severe a breach is.
``:name`` in a query is replaced by a number of ``include/thresholds.toml``, as in psql. All others
come from what relations declare: keys, row sets and specifications.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from psycopg import sql

from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.text_file import PACKAGE_SQL, files_in, read_text
from feature_store.declarations.row_sets import RowSet
from feature_store.declarations.store_definition import Relation, Store
from feature_store.declarations.suites import Check, read_suites
from feature_store.declarations.thresholds import filled_in, read_thresholds
from feature_store.errors import BadInput
from feature_store.relation_name import Name

SEVERITIES = ("critical", "warning")
KEY = "key_"
"""What the name of an expectation begins with that finds a key which is there twice."""
_REFRESHED = "refreshed_relations"
"""The names of relations that replace ``:name`` in the package's own files."""

_NONE: Mapping[Name, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class Expectation:
    """Something that must hold.

    Attributes:
        suite: its suite's name.
        name: unique within the suite.
        relation: the relation it is about.
        severity: ``critical`` fails the run, ``warning`` is reported.
        expected: what must hold, in words.
        query: selects the rows that breach it, the most useful columns first; no row if it holds.
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
    adopted: Collection[str] = (),
) -> tuple[Expectation, ...]:
    """All expectations of a suite.

    Args:
        include_dir: where the files are.
        store: the relations, with what their files declare.
        suite: its name.
        other_keys: the keys that adopted relations have instead (`adoption.read_other_keys`).
        adopted: the adopted relations (`adopted.adopted_relations`).

    Raises:
        BadInput: a file has no header, an unknown severity or an unknown threshold.
    """
    checks = read_suites(include_dir)[suite].checks
    thresholds = read_thresholds(include_dir)
    folder = include_dir / "sql" / "expectations" / suite
    found = [_read(path, suite, thresholds) for path in files_in(folder, ".sql")]
    if Check.REFRESHES in checks:
        known: dict[str, float | str] = {**thresholds, _REFRESHED: _literals(store)}
        packaged = files_in(PACKAGE_SQL / "expectations", ".sql")
        found += [_read(path, suite, known) for path in packaged]
    if Check.KEYS in checks:
        found += _keys(suite, store, other_keys)
    if Check.ROWS in checks:
        found += _row_sets(suite, store, other_keys, adopted)
    if Check.SPAM in checks:
        found += _spam(suite, store)
    if Check.SPECIFICATIONS in checks:
        specified = [r.specification for r in store.relations if r.specification]
        found += [_proof(suite, str(s.relation), s.title) for s in specified]
    return tuple(found)


def _literals(store: Store) -> str:
    """The names of the relations that a run refreshes."""
    names = (sql.Literal(str(relation.name)) for relation in store.refreshed)
    return sql.SQL(", ").join(names).as_string()


def _read(path: Path, suite: str, thresholds: Mapping[str, float | str]) -> Expectation:
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


def _keys(
    suite: str, store: Store, other_keys: Mapping[Name, tuple[str, ...]]
) -> Iterator[Expectation]:
    # Two schemas may have indexes of one name.
    times = Counter(name for relation in store.refreshed for name in relation.keys)
    for relation in store.refreshed:
        for name, declared in sorted(relation.keys.items()):
            called = name if times[name] == 1 else f"{relation.name.relation}_{name}"
            columns = other_keys.get(relation.name, declared)
            # Here NULL counts as a value; in most unique indexes it does not.
            query = sql.SQL(
                "SELECT {0}, count(*) AS found FROM {1} GROUP BY {0} HAVING count(*) > 1"
            ).format(_columns(columns), relation.name.identifier)
            told = f"one row per {', '.join(columns)}"
            yield _critical(suite, f"{KEY}{called}", relation, told, query)


def _row_sets(
    suite: str,
    store: Store,
    other_keys: Mapping[Name, tuple[str, ...]],
    adopted: Collection[str],
) -> Iterator[Expectation]:
    """A refresh may silently lose rows, such as one of two equal rows that contain a NULL."""
    for relation in store.refreshed:
        rows = relation.rows
        if rows is None:
            continue
        of = store.find(str(rows.of))
        key = other_keys.get(of.name) or next(iter(of.keys.values()))
        # An adopted relation's owner decides which rows it leaves out.
        by_owner = relation.specification is not None and relation.specification.by_owner
        partly = by_owner and str(relation.name) in adopted
        told = f"no other rows than those of {of.name}" if partly else f"the rows of {of.name}"
        if rows.without:
            told += f" without those flagged as spam when {relation.name} was refreshed"
        query = _row_query(relation.name, rows, key, partly=partly)
        yield _critical(suite, f"rows_of_{relation.name.relation}", relation, told, query)
        if partly and relation.specification and relation.specification.not_by_owner:
            columns = relation.specification.not_by_owner
            told = f"the same {', '.join(columns)} as in {of.name}"
            query = _value_query(relation.name, rows.of, key, columns)
            yield _critical(suite, f"values_of_{relation.name.relation}", relation, told, query)


def _row_query(relation: Name, rows: RowSet, key: tuple[str, ...], *, partly: bool) -> sql.Composed:
    left_out: sql.Composable = sql.SQL("")
    if rows.without:
        left_out = sql.SQL(
            " WHERE NOT EXISTS (SELECT FROM feature_store_audit.spam_seen AS s WHERE s.key = o.{})"
        ).format(sql.Identifier(rows.without.key))
    mine = sql.SQL("SELECT {} FROM {}").format(_columns(key), relation.identifier)
    others = sql.SQL("SELECT {} FROM {} AS o{}").format(_columns(key), rows.of.identifier, left_out)
    # EXCEPT, because NULL counts as a value.
    wrong = [
        sql.SQL("SELECT k.*, FALSE AS is_missing FROM ({} EXCEPT {}) AS k").format(mine, others)
    ]
    if not partly:
        wrong.append(
            sql.SQL("SELECT k.*, TRUE AS is_missing FROM ({} EXCEPT {}) AS k").format(others, mine)
        )
    return sql.SQL("{} ORDER BY {}").format(sql.SQL(" UNION ALL ").join(wrong), _columns(key))


def _value_query(
    relation: Name, of: Name, key: tuple[str, ...], columns: tuple[str, ...]
) -> sql.Composed:
    mine, others = (sql.SQL(", ").join(sql.Identifier(t, c) for c in columns) for t in "mo")
    return sql.SQL(
        "SELECT {key}, {mine} FROM {relation} AS m INNER JOIN {of} AS o USING ({key}) "
        "WHERE ROW({mine}) IS DISTINCT FROM ROW({others}) ORDER BY {key}"
    ).format(
        key=_columns(key),
        mine=mine,
        others=others,
        relation=relation.identifier,
        of=of.identifier,
    )


def _spam(suite: str, store: Store) -> Iterator[Expectation]:
    for relation in store.refreshed:
        clean = _without_spam(store, relation)
        if clean is None or clean.rows is None or clean.rows.without is None:
            continue
        if relation is clean:
            query = _RECORDED.format(
                fact=sql.Literal(clean.rows.without.fact), relation=sql.Literal(str(relation.name))
            )
            name = f"spam_was_recorded_by_{relation.name.relation}"
            told = "the flags that its latest refresh saw were recorded with it"
            yield _critical(suite, name, relation, told, query)
        query = sql.SQL(
            "SELECT r.{key} FROM {relation} AS r "
            "INNER JOIN feature_store_audit.spam_seen AS s ON r.{key} = s.key "
            "ORDER BY r.{key}"
        ).format(key=sql.Identifier(clean.rows.without.key), relation=relation.name.identifier)
        told = f"no row that carried a spam token when {clean.name} was refreshed"
        yield _critical(suite, f"no_spam_in_{relation.name.relation}", relation, told, query)


def _without_spam(store: Store, relation: Relation) -> Relation | None:
    """The relation that left spam out for this one: itself, or the one whose rows it has."""
    while relation.rows and not relation.rows.without:
        relation = store.find(str(relation.rows.of))
    return relation if relation.rows else None


# Without that record the other expectations would find nothing, whatever the rows.
_RECORDED = sql.SQL(
    "SELECT r.refresh_id, f.n AS flagged, coalesce(s.n, 0) AS recorded "
    "FROM feature_store_audit.latest_refresh AS r "
    "LEFT JOIN feature_store_audit.fact AS f ON r.refresh_id = f.refresh_id AND f.fact = {fact} "
    "LEFT JOIN (SELECT s.refresh_id, count(*) AS n FROM feature_store_audit.spam_seen AS s "
    "GROUP BY s.refresh_id) AS s ON r.refresh_id = s.refresh_id "
    "WHERE r.relation = {relation} AND f.n IS DISTINCT FROM coalesce(s.n, 0)"
)


def _proof(suite: str, relation: str, title: str) -> Expectation:
    # No comparison, no proof. The proof itself says whether all rows were compared.
    query = sql.SQL(
        "SELECT coalesce(p.broken, 0) AS broken, coalesce(p.compared, 0) AS compared, p.sample "
        "FROM (SELECT {} AS proof) AS wanted "
        "LEFT JOIN feature_store_audit.this_run AS t ON TRUE "
        "LEFT JOIN feature_store_audit.proof AS p "
        "ON p.dag_id = t.dag_id AND p.run_id = t.run_id AND p.proof = wanted.proof "
        "WHERE p.broken IS DISTINCT FROM 0"
    )
    return Expectation(
        suite=suite,
        name=relation,
        relation=relation,
        severity="critical",
        expected=f"{title} (sql/specifications/{relation}.sql)",
        query=query.format(sql.Literal(relation)).as_string(),
    )


def _critical(
    suite: str, name: str, relation: Relation, expected: str, query: sql.Composed
) -> Expectation:
    return Expectation(suite, name, str(relation.name), "critical", expected, query.as_string())


def _columns(names: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
