"""The same SQL over relations of the same names in another schema."""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from psycopg import sql
from sqlglot import Token, TokenType
from sqlglot.errors import SqlglotError

from feature_store.errors import BadInput
from feature_store.relation_name import Name, folded

_WORDS = (TokenType.STRING, TokenType.BYTE_STRING, TokenType.HEREDOC_STRING)


def moved(text: str, schemas: Mapping[Name, str | None]) -> str:
    """Replace the schemas of some relations' names, and leave everything else as it is.

    Args:
        text: SQL.
        schemas: by relation, the schema to write; None: no schema.

    Raises:
        BadInput: the text cannot be read as SQL.
    """
    try:
        tokens = sqlglot.tokenize(text, dialect="postgres")
    except SqlglotError as error:
        raise BadInput(f"{text[:80]!r} cannot be read as SQL: {error}") from error
    pieces, end = [], 0
    for schema, dot, relation in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if dot.token_type is not TokenType.DOT or schema.token_type in _WORDS:
            continue
        name = Name(_value(text, schema), _value(text, relation))
        if name in schemas:
            other = schemas[name]
            pieces += [text[end : schema.start], _prefix(other)]
            end = relation.start
    return "".join([*pieces, text[end:]])


def _value(text: str, token: Token) -> str:
    return token.text if text[token.start] == '"' else folded(token.text)


def _prefix(schema: str | None) -> str:
    return "" if schema is None else f"{sql.Identifier(schema).as_string()}."
