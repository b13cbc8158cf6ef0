"""The suites of expectations that a store has: ``include/suites.toml``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from feature_store.declarations.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.text_format import in_words, shown

_TASK = re.compile(r"[a-z][a-z0-9_]*")


class Check(StrEnum):
    """What can be checked of any store."""

    KEYS = "keys"
    ROWS = "rows"
    SPAM = "spam"
    SPECIFICATIONS = "specifications"
    REFRESHES = "refreshes"


class _Written(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    title: str = Field(min_length=1)
    checks: list[str]


_SUITES = TypeAdapter(dict[str, _Written])


@dataclass(frozen=True)
class Suite:
    """A task that checks expectations.

    Attributes:
        name: the task's, too.
        title: what it checks, in words.
        checks: what of it is checked of any store, beside the store's own expectations.
    """

    name: str
    title: str
    checks: frozenset[Check]


def read_suites(include_dir: Path) -> Mapping[str, Suite]:
    """Read ``suites.toml``: the suites by name, in its order.

    Raises:
        BadInput: it is missing or malformed, or a check stands in no suite or in two.
    """
    path = include_dir / "suites.toml"
    try:
        written = _SUITES.validate_python(read_toml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path}: {where}: {first['msg']}, got {shown(first['input'])}.") from None
    for name in written:
        if not _TASK.fullmatch(name):
            raise BadInput(
                f"{path}: a suite is called {name!r}; expected small letters, digits and _, as the "
                "task is called so."
            )
    told = Counter(check for suite in written.values() for check in suite.checks)
    if unknown := sorted(told.keys() - {*Check}):
        raise BadInput(
            f"{path}: there is no check {in_words(unknown)}; expected {', '.join(Check)}."
        )
    if wrong := [check.value for check in Check if told[check] != 1]:
        raise BadInput(
            f"{path}: {in_words(wrong)} must stand in one suite's checks, no more and no less.",
            next_step="Give each check to one suite: none of them can be left out.",
        )
    return {
        name: Suite(name, suite.title, frozenset(map(Check, suite.checks)))
        for name, suite in written.items()
    }


def suite_of(include_dir: Path, check: Check) -> str:
    """The suite in which a check stands; see `read_suites`."""
    return next(s.name for s in read_suites(include_dir).values() if check in s.checks)
