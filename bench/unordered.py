"""A relation's query without the order of its rows.

Our read layers end with an ORDER BY of their key, which saves a concurrent refresh a sort. The
documents do not have it, so the reference does not, either.
"""

from __future__ import annotations

from dataclasses import replace

import sqlglot
from sqlglot import TokenType, exp

from feature_store.declarations.files.sql_file import SqlFile
from feature_store.declarations.files.sql_statement import Statement

_OPEN, _CLOSE = TokenType.L_PAREN, TokenType.R_PAREN
# With these the order may decide which rows there are, not only their sequence.
_CHOOSES_ROWS = ("distinct", "limit", "offset")


def without_order(file: SqlFile) -> SqlFile:
    """The same relation without an order; unchanged if the order chooses rows.

    Only the outermost ORDER BY goes. One inside an aggregate, a window or a sub-select stays.
    """
    query = sqlglot.parse_one(file.query, dialect="postgres")
    if not query.args.get("order") or any(query.args.get(word) for word in _CHOOSES_ROWS):
        return file
    assert isinstance(query, exp.Query)  # only a query has an order
    create = Statement(_cut(file.create.text), _cut(file.create.normal))
    return replace(file, create=create)


def _cut(create: str) -> str:
    """A CREATE MATERIALIZED VIEW … WITH NO DATA from which the outermost ORDER BY is cut."""
    depth = 0
    cut_from = cut_to = len(create)
    for token in sqlglot.tokenize(create, dialect="postgres"):
        depth += (token.token_type is _OPEN) - (token.token_type is _CLOSE)
        if depth == 0 and token.token_type is TokenType.ORDER_BY:
            cut_from = token.start
        elif depth == 0 and token.token_type is TokenType.WITH and cut_from < token.start:
            cut_to = token.start
    return create[:cut_from] + create[cut_to:]
