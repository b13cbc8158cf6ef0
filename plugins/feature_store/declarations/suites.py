"""The suites of expectations that a store has: ``include/suites.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from feature_store.declarations.toml_fields import held_to
from feature_store.declarations.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.text_format import in_words

_TASK = re.compile(r"[a-z][a-z0-9_]*")


class Check(StrEnum):
    """What can be checked of any store."""

    KEYS = "keys"
    ROWS = "rows"
    SPAM = "spam"
    SPECIFICATIONS = "specifications"
    REFRESHES = "refreshes"


class Suite(BaseModel):
    """A task that checks expectations.

    Attributes:
        title: what it checks, in words.
        checks: what of it is checked of any store, beside the store's own expectations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    checks: frozenset[Check]


_SUITES = TypeAdapter(dict[str, Suite])


def read_suites(include_dir: Path) -> Mapping[str, Suite]:
    """Read ``suites.toml``: the suites by name, which is the task's, too, in its order.

    Raises:
        BadInput: it is missing or malformed, or a check stands in no suite or in two.
    """
    path = include_dir / "suites.toml"
    suites = held_to(path, _SUITES, read_toml(path))
    for name in suites:
        if not _TASK.fullmatch(name):
            raise BadInput(
                f"{path}: a suite is called {name!r}; expected small letters, digits and _, as the "
                "task is called so."
            )
    told = [check for suite in suites.values() for check in suite.checks]
    if wrong := [check.value for check in Check if told.count(check) != 1]:
        raise BadInput(
            f"{path}: {in_words(wrong)} must stand in one suite's checks, no more and no less.",
            next_step="Give each check to one suite: none of them can be left out.",
        )
    return suites


def suite_of(include_dir: Path, check: Check) -> str:
    """The suite in which a check stands; see `read_suites`."""
    return next(name for name, s in read_suites(include_dir).items() if check in s.checks)
