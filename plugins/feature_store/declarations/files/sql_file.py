"""An SQL file that creates one relation, with its indexes and its comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlglot import exp

from feature_store.declarations.files.sql_statement import Statement, parse, split_text
from feature_store.declarations.files.text_file import read_text
from feature_store.errors import BadInput
from feature_store.relation_name import MOST_BYTES, Name, folded

_NO_DATA = re.compile(r"\bWITH\s+NO\s+DATA\Z", re.IGNORECASE)
_BEFORE_QUERY = re.compile(r"\ACREATE\s+(?:MATERIALIZED\s+)?VIEW\s+\S+\s+AS\b", re.IGNORECASE)
_NULLS = re.compile(r"\bNULLS\s+NOT\s+DISTINCT\Z", re.IGNORECASE)

WITHOUT_QUOTES = (
    "Put the name in quotes where it has capitals: without quotes PostgreSQL takes them as small "
    "letters."
)


@dataclass(frozen=True)
class SqlFile:
    """A file that creates one relation.

    Attributes:
        path: where it is.
        name: the relation that it creates; also the file's name.
        materialized: whether it is a materialized view; else it is a plain view.
        create: the statement that creates it.
        indexes: the statements that create its indexes, by index name.
        unique_indexes: the columns of its plain unique indexes (columns only, no condition), by
            index name.
        comments: the statements that comment on it.
        described: the columns that they describe.
        reads: every relation that its query names.
        shows: those of them that the outermost SELECT names, in that order. A column that keeps its
            name comes from the first of these that has it.
    """

    path: Path
    name: Name
    materialized: bool
    create: Statement
    indexes: dict[str, Statement]
    unique_indexes: dict[str, tuple[str, ...]]
    comments: tuple[Statement, ...]
    described: frozenset[str]
    reads: frozenset[Name]
    shows: tuple[Name, ...]

    @property
    def definition(self) -> str:
        """What makes the relation what it is: its query and its indexes, normalised."""
        return ";\n".join([self.create.normal, *(i.normal for i in self.indexes.values())])

    @property
    def query(self) -> str:
        """The query alone."""
        return _NO_DATA.sub("", _BEFORE_QUERY.sub("", self.create.text))

    @property
    def dictionary(self) -> str:
        """The comments, normalised."""
        return ";\n".join(c.normal for c in self.comments)


def read_sql_file(path: Path) -> SqlFile:
    """Read a file that creates one relation, its indexes and its comments.

    Raises:
        BadInput: the file is not that; the message names the file and what is wrong in it.
    """
    return read_sql_text(path, read_text(path))


def read_sql_text(path: Path, source: str) -> SqlFile:
    """Read the text of such a file, which need not be written yet; see `read_sql_file`."""
    return _sql_file(path, source)


# Cached, because parsing is slow and a task reads all files twice: for the DAG and for its work.
@lru_cache(maxsize=256)
def _sql_file(path: Path, source: str) -> SqlFile:
    statements = split_text(path, source)
    # sqlglot does not know these two endings, and nothing read here depends on them.
    parsed = [parse(path, _NULLS.sub("", _NO_DATA.sub("", s.text))) for s in statements]
    creates = [i for i, p in enumerate(parsed) if _is_create(p, "VIEW")]
    if len(creates) != 1:
        made = ", ".join(str(_name(path, parsed[i].this)) for i in creates) or "none"
        raise BadInput(
            f"{path} must create exactly one relation, {path.stem}; it creates {made}.",
            next_step="Keep one CREATE [MATERIALIZED] VIEW in each file.",
        )
    create = parsed[creates[0]]
    name = _name(path, create.this)
    if str(name) != path.stem:
        raise BadInput(
            f"{path} creates {name}; expected {path.stem}, as the file is called.",
            next_step=WITHOUT_QUOTES if str(name) == folded(path.stem) else None,
        )
    materialized = create.find(exp.MaterializedProperty) is not None
    _check_form(path, name, statements[creates[0]].text, materialized=materialized)
    indexes: dict[str, Statement] = {}
    unique: dict[str, tuple[str, ...]] = {}
    comments: list[Statement] = []
    described: set[str] = set()
    for statement, p in zip(statements, parsed, strict=True):
        if _is_create(p, "INDEX") and _name(path, p.this.args["table"]) == name:
            _check_index(path, p.this.name)
            indexes[p.this.name] = statement
            columns = _plain_columns(p)
            if p.args.get("unique") and columns:
                unique[p.this.name] = columns
        elif isinstance(p, exp.Comment) and _commented(path, p) == name:
            comments.append(statement)
            if isinstance(p.this, exp.Column):
                described.add(p.this.name)
        elif p is not create:
            raise BadInput(
                f"{path}: a statement that does not belong to {name}: {statement.text[:80]!r}.",
                next_step=f"Keep only what creates {name}, its indexes and its comments; move "
                "the rest.",
            )
    return SqlFile(
        path=path,
        name=name,
        materialized=materialized,
        create=statements[creates[0]],
        indexes=indexes,
        unique_indexes=unique,
        comments=tuple(comments),
        described=frozenset(described),
        reads=frozenset(query_reads(path, create.expression, name)),
        shows=tuple(_shows(path, create)),
    )


def _check_form(path: Path, name: Name, create: str, *, materialized: bool) -> None:
    if not _BEFORE_QUERY.match(create):
        raise BadInput(
            f"{path}: there is something between {name} and its query.",
            next_step="Name the columns in the query. Set options in the database.",
        )
    if materialized and not _NO_DATA.search(create):
        raise BadInput(
            f"{path} fills {name} when it creates it.",
            next_step="End the query with WITH NO DATA: the first refresh fills it.",
        )


def _check_index(path: Path, index: str) -> None:
    size = len(index.encode())
    if size > MOST_BYTES:
        raise BadInput(
            f"{path}: the name of the index {index} has {size} bytes; expected at most "
            f"{MOST_BYTES}, after which PostgreSQL cuts a name off."
        )


def _is_create(parsed: exp.Expr, kind: str) -> bool:
    return isinstance(parsed, exp.Create) and parsed.args.get("kind") == kind


def _plain_columns(parsed: exp.Expr) -> tuple[str, ...]:
    """The columns of an index over plain columns; empty for any other index."""
    parameters = parsed.this.args["params"]
    keys = [k.this if isinstance(k, exp.Ordered) else k for k in parameters.args["columns"]]
    if parameters.args.get("where") or not all(isinstance(key, exp.Column) for key in keys):
        return ()
    return tuple(key.name for key in keys)


def _commented(path: Path, comment: exp.Comment) -> Name:
    target = comment.this
    if isinstance(target, exp.Column):
        return Name(target.text("db"), target.text("table"))
    return _name(path, target)


def _name(path: Path, node: exp.Expr) -> Name:
    table = node if isinstance(node, exp.Table) else node.find(exp.Table)
    if table is None or not table.db:
        raise BadInput(
            f"{path}: {node.sql('postgres')} has no schema.",
            next_step="Write schema.relation everywhere: a session's search_path must not matter.",
        )
    return Name(table.db, table.name)


def query_reads(path: Path, query: exp.Expr, name: Name) -> Iterator[Name]:
    """Every relation that a relation's query names."""
    named_here = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            continue  # a function in FROM
        if table.db or table.name not in named_here:
            read = _name(path, table)
            if read == name:
                raise BadInput(f"{path}: {name} reads itself.")
            yield read


def _shows(path: Path, create: exp.Expr) -> Iterator[Name]:
    query = create.expression
    clauses = [query.args.get("from_"), *query.args.get("joins", [])]
    for clause in clauses:
        table = clause and clause.this
        if isinstance(table, exp.Table) and table.db:
            yield _name(path, table)
