"""Reading a TOML file of ``include``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from feature_store.errors import BadInput


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        BadInput: it is missing, or is none.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
