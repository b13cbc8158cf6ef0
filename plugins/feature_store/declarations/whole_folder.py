"""Reads everything that a store's folder declares, before any work.

A run reads a file when it needs it: an expectation after the last refresh, a leak rule after the
last suite. Without this check, a file that cannot be used would be found hours later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.declared_exceptions import DeclaredException, read_exceptions
from feature_store.declarations.expectations import Expectation, read_expectations
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.files.sql_statement import (
    read_query,
    read_statement,
    split_statements,
)
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.history_series import read_history
from feature_store.declarations.leak_rules import LeakRules, read_rules
from feature_store.declarations.moments import named_moments
from feature_store.declarations.served import check_served
from feature_store.declarations.specified import check_specification, unspecified
from feature_store.declarations.store_definition import Relation, Store, closure
from feature_store.declarations.suites import read_suites
from feature_store.declarations.thresholds import read_thresholds, unused_thresholds
from feature_store.errors import BadInput
from feature_store.relation_name import AUDIT_SCHEMA, Name
from feature_store.text_format import in_words


def check_declarations(include_dir: Path, store: Store) -> None:
    """Read every file of the folder as its user would, and check that they fit together.

    Args:
        include_dir: the folder.
        store: what `store_definition.read_store` read of it.

    Raises:
        BadInput: a file that cannot be read or used, or that names what no other file declares;
            the message names it.
    """
    for check in checks(include_dir, store):
        check()


def checks(include_dir: Path, store: Store) -> Iterator[Callable[[], object]]:
    """The checks of `check_declarations`; each raises what it finds."""
    for path in sorted((include_dir / "sql").rglob("*.sql")):
        yield partial(_check_statements, path)
    yield partial(_check_profile, include_dir, store)
    yield lambda: _check_contracts(store, read_feature_sets(include_dir))
    yield lambda: _check_rules(store, read_rules(include_dir))
    yield lambda: _check_exceptions(
        include_dir / "exceptions.toml",
        store,
        read_feature_sets(include_dir),
        read_exceptions(include_dir),
    )
    for relation in store.relations:
        yield partial(_check_rows, store, relation)
    yield partial(_check_queries, include_dir, store)
    for relation in store.relations:
        yield partial(_check_specification, store, relation)
    yield partial(read_history, include_dir, store)


def _check_contracts(store: Store, sets: Iterable[FeatureSet]) -> None:
    for feature_set in sets:
        _require_governed(store, feature_set.schema, f"{feature_set.path}: schema")
        _require(store, feature_set.relation, f"{feature_set.path}: relation", sources=False)
        bound = store.find(str(feature_set.relation))
        if bound.specification is None:  # a plain view may do without, but not one of a model's
            raise unspecified(bound.file)
        if served := feature_set.served:
            check_served(feature_set.path, served, feature_set.relation, store)


def _check_statements(path: Path) -> None:
    if not split_statements(path):
        raise BadInput(f"{path} has no statement.")
    if named := named_moments(read_text(path)):
        raise BadInput(
            f"{path} has {named[0]!r}. As a date, PostgreSQL replaces it with the day on which "
            "the relation is created, and keeps that day forever.",
            next_step="Take the day from the rows. If it is not meant as a date, write it in two "
            "parts: 'to' || 'day'.",
        )


def _require(store: Store, name: Name, where: str, *, sources: bool) -> None:
    known = {relation.name for relation in store.relations}
    what = "not a relation of the store"
    if sources:
        known |= {source.name for source in store.sources}
        what = "neither a relation of the store nor a source"
    if name not in known:
        raise BadInput(
            f"{where}: {name} is {what}.",
            next_step="Fix the name, or the files that should declare it.",
        )


def _check_profile(include_dir: Path, store: Store) -> None:
    """Relations must be in a governed schema: a refresh looks for views nowhere else."""
    if not store.refreshed:
        raise BadInput(
            f"{include_dir / 'sql'} has no materialized view, so no run could certify anything.",
            next_step="A run proves the rows of a refresh: write a file in sql/base or sql/read.",
        )
    for relation in store.relations:
        _require_governed(store, relation.name.schema, str(relation.file.path))
    for name in store.profile.for_readers:
        where = f"{include_dir / 'store.toml'}: for_readers"
        _require(store, Name.parse(name), where, sources=False)
    threshold = store.profile.newest.threshold
    if threshold and threshold not in read_thresholds(include_dir):
        raise BadInput(
            f"{include_dir / 'store.toml'}: newest.threshold: {threshold} is not in "
            "thresholds.toml.",
            next_step="Fix the name, or leave it out.",
        )


def _require_governed(store: Store, schema: str, where: str) -> None:
    governed = store.profile.governed_schemas
    if schema not in governed:
        raise BadInput(
            f"{where}: {schema} is not a governed schema of the store.",
            next_step=f"Use {in_words(governed)}, or add it to governed_schemas in store.toml.",
        )


def _check_rules(store: Store, rules: LeakRules) -> None:
    columns = {source.name: source.columns.keys() for source in store.sources}
    for name in sorted({*rules.as_of, *rules.not_as_of, *(o.relation for o in rules.outcomes)}):
        _require(store, name, str(rules.path), sources=True)
    for source, readers in (*rules.as_of.items(), *rules.as_of_adopted.items()):
        for reader, read in readers.items():
            where = f"{rules.path}: {source}, read_by"
            _require(store, reader, where, sources=False)
            if unknown := sorted(read - columns.get(source, read)):
                raise BadInput(f"{where}, {reader}: {source} has no column {', '.join(unknown)}.")
    for name, column in sorted(rules.columns_not_as_of):
        _require(store, name, f"{rules.path}: not_as_of", sources=True)
        if column not in columns.get(name, {column}):
            raise BadInput(f"{rules.path}: not_as_of: {name} has no column {column}.")
    for outcome in rules.outcomes:
        for reader in outcome.read_by:
            _require(store, reader, f"{rules.path}: {outcome.relation}, read_by", sources=False)


def _check_exceptions(
    path: Path,
    store: Store,
    sets: Iterable[FeatureSet],
    exceptions: Iterable[DeclaredException],
) -> None:
    features = {s.name: {feature.name for feature in s.features} for s in sets}
    for exception in exceptions:
        where = f"{path}: {exception.id}"
        _require(store, exception.relation, where, sources=False)
        if exception.reads:
            _require(store, exception.reads, where, sources=True)
        for name, tainted in exception.taints.items():
            if name not in features:
                raise BadInput(f"{where}: there is no feature set called {name!r}.")
            if unknown := sorted(set(tainted) - features[name]):
                raise BadInput(f"{where}: {name} has no feature {', '.join(unknown)}.")


def _check_queries(include_dir: Path, store: Store) -> None:
    """Expectations and witnesses: each is one statement about relations that exist."""
    for suite in read_suites(include_dir):
        folder = include_dir / "sql" / "expectations" / suite
        files = {path.stem: path for path in files_in(folder, ".sql")}
        expectations = read_expectations(include_dir, store, suite)
        if not expectations:
            raise _without_expectations(include_dir, suite)
        for name, times in Counter(e.name for e in expectations).items():
            if times > 1:
                raise BadInput(
                    f"{files.get(name, folder)}: another expectation of that suite is called "
                    f"{name}, too."
                )
        for expectation in expectations:
            if path_of := files.get(expectation.name):
                _check_expectation(path_of, store, expectation)
    for relation in store.relations:
        if relation.witness:
            path = include_dir / "sql" / "witness" / f"{relation.name}.sql"
            read_statement(path, relation.witness)
    if unused := unused_thresholds(include_dir):
        raise BadInput(
            f"{include_dir / 'thresholds.toml'}: nothing uses {', '.join(unused)}.",
            next_step="Fix the name, or delete the line.",
        )


def _without_expectations(include_dir: Path, suite: str) -> BadInput:
    """The error for a suite that would find nothing, and so tell nothing of a night."""
    checks = sorted(read_suites(include_dir)[suite].checks)
    given = f"give {in_words(checks)} to another suite and " if checks else ""
    return BadInput(
        f"{include_dir / 'suites.toml'}: the suite {suite} has no expectation, so no run could "
        "be certified.",
        next_step=f"Write one in {include_dir / 'sql' / 'expectations' / suite}, or {given}delete "
        "the suite and this folder.",
    )


def _check_rows(store: Store, relation: Relation) -> None:
    """The header's row set must fit what the relation reads, and its specification."""
    rows, path = relation.rows, relation.file.path
    if rows is not None:
        if relation.refresh is Refresh.NEVER:
            raise BadInput(
                f"{path}: Rows: not for a plain view, which keeps no rows; its "
                "specification proves them."
            )
        _require(store, rows.of, f"{path}: Rows", sources=False)
        of = store.find(str(rows.of))
        if of not in closure(store, relation) or of is relation:
            raise BadInput(f"{path}: Rows: {relation.name} does not read {of.name}.")
        if not of.keys:
            raise BadInput(f"{path}: Rows: {of.name} has no key to tell its rows apart.")
        if rows.without and rows.without.source not in relation.sources:
            raise BadInput(
                f"{path}: Rows: {relation.name} leaves out spam but does not read "
                f"{rows.without.source}, where spam.toml says spam is found."
            )
        if rows.without:
            known = next(s.columns for s in store.sources if s.name == rows.without.source)
            if lacking := sorted({rows.without.key, rows.without.column} - known.keys()):
                raise BadInput(
                    f"spam.toml: {rows.without.source} has no column {', '.join(lacking)} in "
                    "sources.toml."
                )
    specification = relation.specification
    if specification is None or relation.refresh is Refresh.NEVER:
        return
    keys = [set(key) for key in relation.keys.values()]
    if set(specification.key) not in (keys or [set()]):
        raise BadInput(
            f"{specification.path}: its key is {', '.join(specification.key) or 'none'}, which "
            f"is not a key of {relation.name}.",
            next_step=f"Add a unique index to {path}, or a line '-- Key: …' to its header.",
        )


def _check_specification(store: Store, relation: Relation) -> None:
    if specification := relation.specification:
        for name in sorted(specification.reads):
            _require(store, name, str(specification.path), sources=True)
    check_specification(store, relation)


def _check_expectation(path: Path, store: Store, expectation: Expectation) -> None:
    read_query(path, expectation.query)
    name = _name(path, expectation.relation)
    # Expectations are also about the audit schema's tables, which its migrations create.
    if name.schema != AUDIT_SCHEMA:
        _require(store, name, f"{path}: Relation", sources=True)


def _name(path: Path, text: str) -> Name:
    try:
        return Name.parse(text)
    except BadInput as error:
        raise BadInput(f"{path}: Relation: {error.problem}") from None
