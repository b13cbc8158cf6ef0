"""Reads the files and folders of ``include``; whatever cannot be read gives one kind of error."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from feature_store.errors import BadInput

PACKAGE_SQL = Path(__file__).resolve().parents[2] / "sql"
"""The package's own SQL: what holds for any store."""

FileState = tuple[str, int, int]
"""A file, when it was last written, and its size."""

_MOST_BYTES = 4_000_000
_NOT_THERE = (-1, -1)


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        BadInput: it is missing, may not be read, is not a file (a folder, a pipe), is larger than
            4 MB, or is not UTF-8.
    """
    try:
        status = path.stat()
        # Before it is opened: a pipe would never end.
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path} cannot be read: it is not a file.")
        if status.st_size > _MOST_BYTES:
            raise BadInput(
                f"{path} cannot be read: it has {status.st_size:,} bytes; expected at most "
                f"{_MOST_BYTES:,}."
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: its bytes, or its name, are no text
        raise _unreadable(path, error) from error
    if "\0" in text:
        raise BadInput(f"{path} cannot be read: it contains a zero byte.")
    return text


def files_in(folder: Path, suffix: str, *, required: bool = True) -> list[Path]:
    """The files of a folder whose names end in a suffix, in order.

    `Path.glob` would treat a folder that may not be read as empty.

    Args:
        folder: where.
        suffix: with its dot.
        required: whether a missing folder is an error.

    Raises:
        BadInput: it cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError as error:
        if not required:
            return []
        raise _unreadable(folder, error) from error
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> BadInput:
    # Its number and its second naming of the path are for programs.
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    missing = isinstance(error, FileNotFoundError)
    return BadInput(
        f"{path} cannot be read: {why}.",
        next_step="Put it there; `bin/feature-store check` names all that is wrong in a folder."
        if missing
        else None,
    )


def states_of(paths: Iterable[Path]) -> tuple[FileState, ...]:
    """What tells whether files have changed, in order.

    A link to nowhere (an editor's lock) and a file deleted meanwhile have a state, too: whether
    they matter is for whoever reads them.

    Raises:
        BadInput: their folder cannot be listed.
    """
    try:
        return tuple((str(path), *_state(path)) for path in sorted(paths))
    except OSError as error:
        raise _unreadable(Path(error.filename), error) from error


def _state(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError:
        return _NOT_THERE
    return told.st_mtime_ns, told.st_size
