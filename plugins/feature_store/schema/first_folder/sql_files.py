"""The SQL files of a store that was found: each relation, and its specification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from feature_store.declarations.files.sql_file import read_sql_text
from feature_store.declarations.source_tables import family_of
from feature_store.declarations.specifications import FOLDER
from feature_store.declarations.undecided import MARK
from feature_store.errors import BadInput
from feature_store.schema.applied_definitions import quoted
from feature_store.schema.first_folder.found_store import FoundRelation
from feature_store.schema.first_folder.layers import Placed, is_readable, key_of
from feature_store.text_format import in_words


def relation_file(placed: Placed) -> str:
    """The text of a relation's file."""
    header, relation = [*_header(placed)], placed.relation
    rest = [*_create(relation), *_comments(relation), ""]
    try:
        read_sql_text(Path(path_of(placed)), "\n".join(rest))
    except BadInput:
        header.append(
            f"-- {MARK} this query has words that no file's reader knows. Say the same in other "
            "words, here and in the specification; the view itself stays as it is."
        )
    return "\n".join([*header, *rest])


def specification_file(relation: FoundRelation) -> str:
    """The text of a relation's specification: its own query, until a person writes another."""
    key = _key(relation)
    return "\n".join(
        [
            f"-- Specification: {said_of(relation) or f'the rows of {relation.name}'}",
            f"-- Relation:      {relation.name}",
            f"-- Key:           {key or 'none'}",
            f"-- Route:         {MARK} write these rows by another way. Below is the relation's "
            "own query: it proves that a refresh took all rows, and no more. To keep it, say so.",
            relation.query.rstrip(),
            "",
        ]
    )


def said_of(relation: FoundRelation) -> str:
    """What its comment says, on one line."""
    return one_line(relation.comment)


def one_line(text: str) -> str:
    """A text without anything that would end the line that it stands on."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def candidates(columns: Mapping[str, str]) -> str:
    """The columns that hold a moment or a day, in brackets after a question; empty if none does."""
    held = [one_line(c) for c, kind in columns.items() if family_of(kind) in ("timestamp", "date")]
    return f" ({in_words(held)})" if held else ""


def path_of(placed: Placed) -> str:
    """Where in the folder a relation's file goes."""
    return f"sql/{placed.refresh.value}/{placed.relation.name}.sql"


def specification_path(relation: FoundRelation) -> str:
    """Where in the folder its specification goes."""
    return f"sql/{FOLDER}/{relation.name}.sql"


def _header(placed: Placed) -> Iterator[str]:
    relation = placed.relation
    said, key = said_of(relation), _key(relation)
    yield f"-- Relation:   {relation.name}" + (f", {said}" if said else "")
    yield f"-- Grain:      {f'one row per {key}' if key else f'{MARK} what is one row?'}"
    when = candidates(relation.columns)
    yield f"-- As-of:      {MARK} of which moment (t0) is a row, and by which column{when}?"
    yield f"-- Never sees: {MARK} what may no row know: what comes after t0, what is left out?"
    yield f"-- Refresh:    {placed.words}"
    for constant in relation.moments:
        if constant.value is not None:
            yield (
                f"-- {MARK} the query holds {constant.words}. Did a person write that? PostgreSQL "
                "makes such a constant of 'today' and 'now', too, and keeps it for good."
            )


def _key(relation: FoundRelation) -> str:
    return ", ".join(map(one_line, key_of(relation)))


def _create(relation: FoundRelation) -> Iterator[str]:
    query = relation.query.rstrip()
    if not relation.materialized:
        yield f"CREATE VIEW {relation.spelled} AS\n{query};"
        return
    yield f"CREATE MATERIALIZED VIEW {relation.spelled} AS\n{query}\nWITH NO DATA;"
    for index in relation.indexes:
        yield ""
        if is_readable(index):
            yield f"{index.definition};"
        else:
            yield f"-- The index {one_line(index.name)} stays as it is; no file can say it."


def _comments(relation: FoundRelation) -> Iterator[str]:
    kind = "MATERIALIZED VIEW" if relation.materialized else "VIEW"
    if relation.comment:
        yield f"\nCOMMENT ON {kind} {relation.spelled} IS\n{quoted(relation.comment)};"
    for column, words in relation.column_comments.items():
        yield f"COMMENT ON COLUMN {relation.spelled}.{column} IS\n{quoted(words)};"
