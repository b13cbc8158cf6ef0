"""Reads listings from a CSV file, plain or gzipped (a name that ends in ``.gz``).

The first line names the columns: any of the listing table's, in any order, of which ``listing_id``
and ``edited_date`` are required. Columns that the file lacks are NULL, and so is an empty field.
UTF-8, commas, double quotes. A date without a time is midnight, and a time without an offset is
local, in the session's zone. Decimals are rounded to the column's digits.

If texts must not be shared, ``title_chars`` and ``description_chars`` give their lengths instead.
The text column is then filled with that many ``x``: this keeps the lengths, which is all that the
store computes from texts.
"""

import csv
import gzip
import hashlib
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from sandbox.csv_values import PARSERS, Parser, Value, filler
from sandbox.source_tables import LISTING_COLUMNS, LISTING_TYPES

REQUIRED = ("listing_id", "edited_date")
FILLERS = {"title_chars": "title", "description_chars": "description"}
"""Columns that hold a length, and the text column that is filled to that length."""

Row = tuple[Value | None, ...]

_LONGEST_SHOWN = 40
_LONGEST_LINE = 16 * 1024**2  # bytes: more than all columns can hold
# Listings compress to about a tenth. A file that unpacks to much more was made to fill a disk.
_MOST_TIMES_ITS_SIZE = 100
_ALWAYS_UNPACKED = 256 * 1024**2


class CsvError(Exception):
    """The file cannot be loaded; the message says which file, where, and what was expected."""


@dataclass(frozen=True)
class _Field:
    """How the fields below one header are read, and the place of their values in a row."""

    header: str
    position: int
    parse: Parser
    required: bool


def csv_rows(path: Path) -> Iterator[Row]:
    """Yield the file's rows in the order of ``LISTING_COLUMNS``, checking every field.

    Rows are yielded as they are read: a consumer must discard them all when an error follows.

    Raises:
        CsvError: the file cannot be read, or something in it is not as described above.
    """
    fields: list[_Field] | None = None
    rows = 0
    for line, record in _records(path):
        if fields is None:
            fields = _fields(path, record)
            continue
        if len(record) != len(fields):
            raise CsvError(
                f"{path}, line {line}: {len(record)} fields, expected {len(fields)} as in the "
                "header. A comma or a line break inside a field needs double quotes around it."
            )
        rows += 1
        yield _row(path, line, fields, record)
    if not rows:
        what = "empty" if fields is None else "without rows below its header"
        raise CsvError(f"{path}: the file is {what}. Expected a header line and listings below it.")


def csv_digest(path: Path) -> str:
    """A digest of the file's content.

    Raises:
        CsvError: it cannot be read.
    """
    try:
        with _opened_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def _row(path: Path, line: int, fields: list[_Field], record: list[str]) -> Row:
    row: list[Value | None] = [None] * len(LISTING_COLUMNS)
    for field, text in zip(fields, record, strict=True):
        try:
            if text:
                row[field.position] = field.parse(text)
            elif field.required:
                raise ValueError("a value, as the column is NOT NULL")
        except ValueError as expected:
            raise CsvError(
                f"{path}, line {line}, column {field.header}: got {_shortened(text)}, "
                f"expected {expected}."
            ) from None
    return tuple(row)


def _fields(path: Path, header: list[str]) -> list[_Field]:
    known = (*LISTING_COLUMNS, *FILLERS)
    _refuse(path, "unknown column", [name for name in header if name not in known], known)
    targets = [FILLERS.get(name, name) for name in header]
    _refuse(path, "duplicate column", [name for name in known if targets.count(name) > 1])
    _refuse(path, "missing column", [name for name in REQUIRED if name not in header])
    return [
        _Field(
            header=name,
            position=LISTING_COLUMNS.index(target),
            parse=filler if name in FILLERS else PARSERS[LISTING_TYPES[name]],
            required=name == "listing_id",
        )
        for name, target in zip(header, targets, strict=True)
    ]


def _refuse(path: Path, problem: str, names: list[str], expected: Sequence[str] = ()) -> None:
    if names:
        among = f" Expected columns among: {', '.join(expected)}." if expected else ""
        shown = ", ".join(_shortened(name) for name in names)
        raise CsvError(f"{path}, line 1: {problem} {shown}.{among}")


def _shortened(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[: _LONGEST_SHOWN - 3] + "..."


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the number of the line on which it starts; blank lines are skipped."""
    read = 0
    try:
        with _opened(path) as file:
            reader = csv.reader(_lines(path, file), strict=True)
            for record in reader:
                if record:
                    yield read + 1, record
                read = reader.line_num
    except csv.Error as error:
        raise CsvError(f"{path}, line {read + 1}: not well-formed CSV: {error}.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CsvError(
            f"{path}: not a complete gzip file ({error}). A plain CSV must not be named .gz."
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> CsvError:
    return CsvError(f"{path}: cannot be read: {error.strerror or error}.")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with _opened_plain(path) as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.open(file, "rb") as unpacked:
            yield unpacked  # type: ignore[misc]  # typed as GzipFile


def _opened_plain(path: Path) -> BufferedReader:
    # Before it is opened, because opening a pipe may wait forever for the other end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise CsvError(
            f"{path}: not a file but a pipe, a device or a folder. It is read twice: save it as "
            "a file first."
        )
    return path.open("rb")


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """Decode line by line, since a text file decodes in blocks and could not say which line."""
    most = max(_MOST_TIMES_ITS_SIZE * path.stat().st_size, _ALWAYS_UNPACKED)
    unpacked = 0
    lines = iter(lambda: file.readline(_LONGEST_LINE + 1), b"")
    for number, line in enumerate(lines, start=1):
        unpacked += len(line)
        if len(line) > _LONGEST_LINE:
            raise CsvError(f"{path}, line {number}: longer than {_LONGEST_LINE:,} bytes.")
        if path.suffix == ".gz" and unpacked > most:
            raise CsvError(
                f"{path}, line {number}: unpacks to more than {most:,} bytes, "
                f"{_MOST_TIMES_ITS_SIZE} times its size. If that is meant, unpack it and load that."
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise CsvError(
                f"{path}, line {number}: not UTF-8 text. Save the file as UTF-8."
            ) from None
