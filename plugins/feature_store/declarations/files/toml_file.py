"""Reads a TOML file of ``include``."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from feature_store.declarations.files.text_file import read_text
from feature_store.errors import BadInput


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Do not change the result, which is cached.

    Raises:
        BadInput: it is missing, or is not TOML, or has an integer of more than 64 bits, or the
            store's folder does not exist.
    """
    try:
        text = read_text(path)
    except BadInput as error:
        if isinstance(error.__cause__, FileNotFoundError) and not path.parent.exists():
            raise BadInput(
                f"{path} cannot be read: there is no folder {path.parent}.",
                next_step="Name the store's folder in FEATURE_STORE_INCLUDE_DIR, or in the DAG's "
                "file; an installed package brings none.",
            ) from error
        raise
    try:
        return _content(text)
    except RecursionError:
        raise BadInput(f"{path} cannot be read: it is nested too deeply.") from None
    except ValueError as error:  # not only TOML errors: a number of 5,000 digits raises this, too
        raise BadInput(f"{path} cannot be read: {error}") from error


# Cached by text: a task reads the same few files many times.
@lru_cache(maxsize=256)
def _content(text: str) -> dict[str, Any]:
    content = tomllib.loads(text)
    _refuse_large(content)
    return content


def _refuse_large(value: object) -> None:
    """TOML has integers of 64 bits; Python reads larger ones, and cannot write the largest."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"an integer of {value.bit_length():,} bits; expected at most 64")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_large(inner)
