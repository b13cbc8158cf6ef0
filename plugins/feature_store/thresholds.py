"""The numbers of ``include/thresholds.toml``, for which ``:name`` stands in a query, as in psql."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from feature_store.errors import BadInput
from feature_store.tomlfile import read_toml

_THRESHOLDS = TypeAdapter(dict[str, float], config=ConfigDict(strict=True))
# Not the second colon of a cast, and not a word inside one.
_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


def read_thresholds(include_dir: Path) -> dict[str, float]:
    """Read ``thresholds.toml``, number by number.

    Raises:
        BadInput: the file is missing or holds anything but numbers.
    """
    path = include_dir / "thresholds.toml"
    written = read_toml(path)
    try:
        return _THRESHOLDS.validate_python(written)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            f"{path}: {first['loc'][0]}: {first['msg']}, got {first['input']!r}."
        ) from None


def filled_in(path: Path, text: str, thresholds: Mapping[str, float]) -> str:
    """The one query of a file, with its numbers and without its semicolon.

    Raises:
        BadInput: it names a threshold that there is not.
    """

    def number(match: re.Match[str]) -> str:
        if match[1] not in thresholds:
            raise BadInput(
                f"{path}: :{match[1]} is not a threshold.",
                next_step=f"Use one of {', '.join(thresholds)}, or add it to thresholds.toml.",
            )
        return str(thresholds[match[1]])

    return _PLACEHOLDER.sub(number, text.rstrip().removesuffix(";"))
