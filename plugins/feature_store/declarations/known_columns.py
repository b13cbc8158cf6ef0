"""The columns that a query gives and reads, as far as its text shows, without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.scope import traverse_scope

from feature_store.declarations.files.sql_file import SqlFile
from feature_store.declarations.files.sql_statement import parse
from feature_store.relation_name import Name

# PostgreSQL's own, which every table has.
_SYSTEM = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

Columns = Mapping[Name, tuple[str, ...] | None]


def known_columns(files: Mapping[Name, SqlFile]) -> dict[Name, tuple[str, ...] | None]:
    """Each relation's columns, in order; None if its query does not say (``SELECT t.*``)."""
    found: dict[Name, tuple[str, ...] | None] = {}

    def of(name: Name) -> tuple[str, ...] | None:
        if name not in found:
            found[name] = None  # while it is looked at: files may read each other in a circle
            if name in files:
                found[name] = given_columns(files[name].path, files[name].query, of)
        return found[name]

    for name in files:
        of(name)
    return found


def given_columns(
    path: Path, text: str, of: Columns | Callable[[Name], tuple[str, ...] | None]
) -> tuple[str, ...] | None:
    """The columns that a query gives; None if it does not say.

    Args:
        path: its file.
        text: the query.
        of: the columns of the relations that it may take whole.
    """
    query = parse(path, text)
    assert isinstance(query, exp.Query)
    look = of if callable(of) else of.get
    plain = [cte for cte in query.find_all(exp.CTE) if not cte.alias_column_names]
    return _given(query, look, {cte.alias: cte.this for cte in plain})


def _given(
    query: exp.Expr,
    of: Callable[[Name], tuple[str, ...] | None],
    named: Mapping[str, exp.Expr],
) -> tuple[str, ...] | None:
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    columns: list[str] = []
    for selected in query.expressions:
        if selected.is_star:
            whole = _whole(query, selected, of, named)
            if whole is None:
                return None
            columns += whole
        elif not selected.alias_or_name:
            return None
        else:
            columns.append(selected.alias_or_name)
    return tuple(columns)


def _whole(
    query: exp.Select,
    star: exp.Expr,
    of: Callable[[Name], tuple[str, ...] | None],
    named: Mapping[str, exp.Expr],
) -> tuple[str, ...] | None:
    """The columns for which ``t.*`` or ``*`` stands."""
    tables = [query.args.get("from_"), *query.args.get("joins", [])]
    found: list[str] = []
    for clause in tables:
        table = clause and clause.this
        if table is None or (star.text("table") and table.alias_or_name != star.text("table")):
            continue
        columns = None
        if table.alias_column_names:
            return None  # they have other names here
        if isinstance(table, exp.Subquery):
            columns = _given(table, of, named)
        elif isinstance(table, exp.Table) and table.db:
            columns = of(Name(table.db, table.name))
        elif isinstance(table, exp.Table) and table.name in named:
            columns = _given(named[table.name], of, named)
        if columns is None:
            return None
        found += columns
    return tuple(found) or None


def unknown_reads(path: Path, text: str, columns: Columns) -> Iterator[tuple[Name, str]]:
    """The columns that a query reads by name from a relation or source that lacks them.

    Args:
        path: its file.
        text: the query.
        columns: those of every relation and source; None where they are not known.
    """
    try:
        scopes = traverse_scope(parse(path, text).copy())
    except OptimizeError:
        return  # the server may understand it nevertheless
    for scope in scopes:
        tables = {
            alias: t
            for alias, t in scope.sources.items()
            if isinstance(t, exp.Table) and not t.alias_column_names
        }
        for column in scope.columns:
            table = tables.get(column.table)
            if table is None or not table.db:
                continue
            name = Name(table.db, table.name)
            known = columns.get(name)
            if known is not None and column.name not in known and column.name not in _SYSTEM:
                yield name, column.name
