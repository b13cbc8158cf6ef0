"""Reading a TOML file of ``include``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from feature_store.declarations.text_file import read_text
from feature_store.errors import BadInput


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        BadInput: it is missing, or is none, or the store's folder is not there at all.
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
        return tomllib.loads(text)
    except RecursionError:
        raise BadInput(f"{path} cannot be read: it is nested too deeply.") from None
    except ValueError as error:  # not only of TOML: a number of 5,000 digits is one, too
        raise BadInput(f"{path} cannot be read: {error}") from error
