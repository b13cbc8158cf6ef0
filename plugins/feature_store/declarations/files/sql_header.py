"""The header of an SQL file: its leading ``-- Field: words`` lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from feature_store.errors import BadInput

_FIELD = re.compile(r"-- (?P<field>[A-Z][A-Za-z -]*): +(?P<words>\S.*)")


def read_header(path: Path, text: str, required: Sequence[str]) -> dict[str, str]:
    """The fields of a file's header; words may go on over indented comment lines.

    Raises:
        BadInput: a required field is missing.
    """
    fields: dict[str, str] = {}
    latest = ""
    for line in text.splitlines():
        if match := _FIELD.fullmatch(line.rstrip()):
            latest = match["field"]
            fields[latest] = match["words"]
        elif line.startswith("--   ") and latest:
            fields[latest] += f" {line[2:].strip()}"
        else:
            break
    missing = [field for field in required if field not in fields]
    if missing:
        raise BadInput(f"{path} must begin with the comment lines {', '.join(required)}.")
    return fields
