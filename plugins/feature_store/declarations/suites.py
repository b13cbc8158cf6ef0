"""The suites of expectations that a store has: ``include/suites.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from feature_store.declarations.files.toml_fields import held_to
from feature_store.declarations.files.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.text_format import in_words

_TASK = re.compile(r"[a-z][a-z0-9_]*")


class Check(StrEnum):
    """The checks that work for any store."""

    KEYS = "keys"
    ROWS = "rows"
    SPAM = "spam"
    SPECIFICATIONS = "specifications"
    REFRESHES = "refreshes"


class Suite(BaseModel):
    """A task that checks expectations.

    Attributes:
        title: what it checks, in words.
        checks: the checks for any store that it has, besides the store's own expectations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    checks: frozenset[Check]


_SUITES = TypeAdapter(dict[str, Suite])


def read_suites(include_dir: Path) -> Mapping[str, Suite]:
    """Read ``suites.toml``: the suites by name, in its order. Tasks have the same names.

    Raises:
        BadInput: it is missing or malformed, or a check is in no suite or in two.
    """
    path = include_dir / "suites.toml"
    suites = held_to(path, _SUITES, read_toml(path))
    for name in suites:
        if not _TASK.fullmatch(name):
            raise BadInput(
                f"{path}: a suite is called {name!r}; expected lower-case letters, digits and _, "
                "because a task has this name."
            )
    told = [check for suite in suites.values() for check in suite.checks]
    if wrong := [check.value for check in Check if told.count(check) != 1]:
        raise BadInput(
            f"{path}: {in_words(wrong)} must be in the checks of exactly one suite.",
            next_step="Give each check to one suite; none may be left out.",
        )
    return suites


def suite_of(include_dir: Path, check: Check) -> str:
    """The suite that has a check; see `read_suites`."""
    return next(name for name, s in read_suites(include_dir).items() if check in s.checks)
