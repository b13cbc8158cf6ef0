"""The numbers of ``include/thresholds.toml``, which replace ``:name`` in a query, as in psql."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AllowInfNan, ConfigDict, TypeAdapter

from feature_store.declarations.files.text_file import PACKAGE_SQL, read_text
from feature_store.declarations.files.toml_fields import held_to
from feature_store.declarations.files.toml_file import read_toml
from feature_store.declarations.store_profile import read_profile
from feature_store.errors import BadInput

_THRESHOLDS = TypeAdapter(
    dict[str, Annotated[float, AllowInfNan(False)]], config=ConfigDict(strict=True)
)
REFUSALS = frozenset({"most_rows_lost", "least_rows_guarded"})
"""The thresholds that refuse a refresh; see `lost_rows`."""
LEAST_ROWS_FOR_DRIFT = 500
# What the package itself reads. A share of 40, meant as a percentage, would switch its check off.
_SHARES = frozenset({"most_rows_lost", "most_drift"})
_COUNTS = frozenset({"least_rows_guarded", "least_rows_for_drift", "most_drift_to_usual"})
# Not the second colon of a cast, and not a word inside one.
_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


def read_thresholds(include_dir: Path) -> dict[str, float]:
    """Read ``thresholds.toml``, number by number.

    Raises:
        BadInput: the file is missing, holds anything but numbers, lacks one of `REFUSALS`, or has a
            share that is none.
    """
    path = include_dir / "thresholds.toml"
    thresholds = held_to(path, _THRESHOLDS, read_toml(path))
    if missing := sorted(REFUSALS - thresholds.keys()):
        raise BadInput(
            f"{path} lacks {', '.join(missing)}.",
            next_step="Copy these lines from the package's own file.",
        )
    for name, value in thresholds.items():
        if name in _SHARES and not 0 <= value <= 1:
            raise BadInput(f"{path}: {name}: expected a share from 0 to 1, got {value}.")
        if name in _COUNTS and value < 0:
            raise BadInput(f"{path}: {name}: expected 0 or more, got {value}.")
    return thresholds


def least_rows_for_drift(include_dir: Path) -> float:
    """The least rows for measuring drift; the package's own number if the store's file has none.

    Raises:
        BadInput: as for `read_thresholds`.
    """
    return read_thresholds(include_dir).get("least_rows_for_drift", LEAST_ROWS_FOR_DRIFT)


def unused_thresholds(include_dir: Path) -> list[str]:
    """The thresholds that neither a query nor the package itself uses.

    Raises:
        BadInput: a file cannot be read.
    """
    used = {*_SHARES, *_COUNTS, read_profile(include_dir).newest.threshold}
    for folder in (include_dir / "sql", PACKAGE_SQL / "expectations"):
        for path in folder.rglob("*.sql"):
            used.update(_PLACEHOLDER.findall(read_text(path)))
    return sorted(read_thresholds(include_dir).keys() - used)


def thresholds_in(text: str, thresholds: Mapping[str, float]) -> dict[str, float]:
    """The thresholds that a query uses, each once, in the order of the query."""
    names = dict.fromkeys(_PLACEHOLDER.findall(text))
    return {name: thresholds[name] for name in names if name in thresholds}


def filled_in(path: Path, text: str, thresholds: Mapping[str, float | str]) -> str:
    """The one query of a file, with its numbers, or other SQL, and without its semicolon.

    Raises:
        BadInput: it names an unknown threshold.
    """

    def number(match: re.Match[str]) -> str:
        if match[1] not in thresholds:
            raise BadInput(
                f"{path}: :{match[1]} is not a threshold.",
                next_step=f"Use one of {', '.join(thresholds)}, or add it to thresholds.toml.",
            )
        return str(thresholds[match[1]])

    return _PLACEHOLDER.sub(number, text.rstrip().removesuffix(";"))
