"""The statements of an SQL file, and what makes two of them alike."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError

from feature_store.declarations.files.text_file import read_text
from feature_store.errors import BadInput
from feature_store.relation_name import folded

# What it does not understand is refused below, with the file's name.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_CACHED = 1024
"""Texts: a store has some 260 statements."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Statement:
    """One statement of a file.

    Attributes:
        text: as in the file, without the closing semicolon.
        normal: the same without comments, line breaks and the case of unquoted words: equal for
            two statements that PostgreSQL would read alike.
    """

    text: str
    normal: str


def split_statements(path: Path) -> tuple[Statement, ...]:
    """Split a file into its statements.

    Raises:
        BadInput: the file cannot be read as SQL.
    """
    return split_text(path, read_text(path))


def read_query(path: Path, source: str) -> Statement:
    """The one query of a file.

    Args:
        path: the file, for messages.
        source: its text, in which numbers have replaced thresholds.

    Raises:
        BadInput: it is not exactly one query.
    """
    statement = read_statement(path, source)
    if not isinstance(parse(path, statement.text), exp.Query):
        raise BadInput(f"{path} must be one query, not {statement.text[:80]!r}.")
    return statement


def read_statement(path: Path, source: str) -> Statement:
    """The one statement of a file; see `read_query`.

    Raises:
        BadInput: it is anything else.
    """
    statements = split_text(path, source)
    if len(statements) != 1:
        raise BadInput(f"{path} must be one statement; it is {len(statements)}.")
    parse(path, statements[0].text)
    return statements[0]


# The three caches below are by text, not by file: reading SQL is slow, and the same text is read
# several times, also in copies of a folder.
@lru_cache(maxsize=_CACHED)
def tokens_of(source: str) -> tuple[Token, ...]:
    """The tokens of some SQL.

    Raises:
        SqlglotError: it cannot be read.
    """
    return tuple(sqlglot.tokenize(source, dialect="postgres"))


def split_text(path: Path, source: str) -> tuple[Statement, ...]:
    """Split a file's text in which values have replaced names; see `split_statements`."""
    try:
        return _statements(source)
    except SqlglotError as error:
        raise BadInput(f"{path} cannot be read as SQL: {_in_words(error)}") from error


@lru_cache(maxsize=_CACHED)
def _statements(source: str) -> tuple[Statement, ...]:
    return tuple(
        Statement(
            text=source[group[0].start : group[-1].end + 1],
            normal=" ".join(_normal(source, token) for token in group),
        )
        for group in _groups(tokens_of(source))
    )


def _in_words(error: SqlglotError) -> str:
    """What is wrong and where, without the colours that mark it for a terminal."""
    return _COLOUR.sub("", str(error))


def _groups(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    group: list[Token] = []
    for token in tokens:
        if token.token_type is not TokenType.SEMICOLON:
            group.append(token)
        elif group:
            yield group
            group = []
    if group:
        yield group


def _normal(source: str, token: Token) -> str:
    text = source[token.start : token.end + 1]
    # Case matters in values and quoted names, however they are quoted. It does not in other words,
    # nor do the blanks inside a phrase that is one token, such as ORDER BY.
    quoted = any(mark in text for mark in "'\"$")
    return text if quoted else " ".join(text.lower().split())


def parse(path: Path, text: str) -> exp.Expr:
    """Read one statement of a file as SQL. Do not change the result, which is cached.

    Its names are as PostgreSQL takes them: without quotes, capitals are small letters.

    Raises:
        BadInput: it is not SQL.
    """
    try:
        parsed = _tree(text)
    except SqlglotError as error:
        raise BadInput(f"{path} cannot be read as SQL: {_in_words(error)}") from error
    except RecursionError:
        raise BadInput(f"{path} cannot be read as SQL: it is nested too deeply.") from None
    if isinstance(parsed, exp.Command):
        raise BadInput(f"{path} cannot be read as SQL: {text[:80]!r}")
    return parsed


@lru_cache(maxsize=_CACHED)
def _tree(text: str) -> exp.Expr:
    parsed = sqlglot.parse_one(text, dialect="postgres")
    for identifier in parsed.find_all(exp.Identifier):
        if not identifier.quoted:
            identifier.set("this", folded(identifier.name))
    return parsed
