"""Reading the files and folders of ``include``, so that whatever cannot be read has one error."""

from __future__ import annotations

import stat
from pathlib import Path

from feature_store.errors import BadInput

PACKAGE_SQL = Path(__file__).resolve().parents[1] / "sql"
"""The package's own SQL: what holds for any store."""

_MOST_BYTES = 4_000_000


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        BadInput: it is missing, may not be read, is no file (a folder, a pipe), is larger than
            4 MB, or is not UTF-8.
    """
    try:
        status = path.stat()
        # Before it is opened: a pipe would never end.
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path} cannot be read: it is no file.")
        if status.st_size > _MOST_BYTES:
            raise BadInput(
                f"{path} cannot be read: it has {status.st_size:,} bytes; expected at most "
                f"{_MOST_BYTES:,}."
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: its bytes, or its name, are no text
        raise BadInput(f"{path} cannot be read: {error}") from error
    if "\0" in text:
        raise BadInput(f"{path} cannot be read: it holds a zero byte.")
    return text


def files_in(folder: Path, suffix: str, *, required: bool = True) -> list[Path]:
    """What a folder holds under names that end so, in order.

    `Path.glob` would take a folder that may not be read for an empty one.

    Args:
        folder: where.
        suffix: with its dot.
        required: whether a folder that is missing is an error.

    Raises:
        BadInput: it cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError as error:
        if not required:
            return []
        raise BadInput(f"{folder} cannot be read: {error}") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder} cannot be read: {error}") from error
