"""What marks a row of a source as spam: ``include/spam.toml``, which a store may have."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from psycopg import sql
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from feature_store.declarations.files.toml_fields import held_to
from feature_store.declarations.files.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.text_format import in_words

_LIST = re.compile(r"(?<![:\w]):(?P<no>no_)?spam_tokens\b")


def _table(text: object) -> Name:
    try:
        return Name.parse(str(text))
    except BadInput as error:
        raise ValueError(error.problem.rstrip(".")) from None


class Spam(BaseModel):
    """The words that mark spam, and where they are.

    Attributes:
        source: the table whose rows they mark.
        key: its column (a whole number) by which everything made of a flagged row is left out.
        column: the column with these words.
        tokens: the words, in lower case and without blanks around them.
        no_tokens: the words that mean "no spam".
        fact: the name, in the record, of how many there were when a refresh began.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[Name, BeforeValidator(_table)]
    key: str
    column: str
    # Without one nothing would be spam.
    tokens: tuple[str, ...] = Field(min_length=1)
    no_tokens: tuple[str, ...]
    fact: str = Field(default="rows flagged as spam", min_length=1)

    @property
    def flagged(self) -> sql.Composed:
        """A query of the flagged keys, of the source itself."""
        return sql.SQL(
            "SELECT DISTINCT l.{key} FROM {source} AS l "
            "WHERE lower(btrim(l.{column})) IN ({tokens}) AND l.{key} IS NOT NULL"
        ).format(
            key=sql.Identifier(self.key),
            source=self.source.identifier,
            column=sql.Identifier(self.column),
            tokens=_literals(self.tokens),
        )

    def filled_in(self, text: str) -> str:
        """An SQL text in which the words replace ``:spam_tokens`` and ``:no_spam_tokens``."""
        return _LIST.sub(
            lambda m: _literals(self.no_tokens if m["no"] else self.tokens).as_string(), text
        )


def read_spam(include_dir: Path) -> Spam | None:
    """Read ``spam.toml``; None where a store has none.

    Raises:
        BadInput: it is malformed, has no word that marks spam, or a word that can never match.
    """
    path = include_dir / "spam.toml"
    if not os.path.lexists(path):  # a link to nowhere is an error
        return None
    spam = held_to(path, TypeAdapter(Spam), read_toml(path))
    every = (*spam.tokens, *spam.no_tokens)
    if wrong := sorted({w for w in every if every.count(w) > 1 or w != w.strip(" ").lower()}):
        raise BadInput(
            f"{path}: expected each word once, in lower case, without spaces around it; not "
            f"{in_words(list(map(repr, wrong)))}."
        )
    return spam


def _literals(words: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, words))
