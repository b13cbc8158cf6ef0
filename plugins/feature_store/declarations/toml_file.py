"""Reads a TOML file of ``include``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from feature_store.declarations.text_file import read_text
from feature_store.errors import BadInput


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        BadInput: it is missing, or is not TOML.
    """
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise BadInput(f"{path} cannot be read: it is nested too deeply.") from None
    except ValueError as error:  # not only TOML errors: a number of 5,000 digits raises this, too
        raise BadInput(f"{path} cannot be read: {error}") from error
