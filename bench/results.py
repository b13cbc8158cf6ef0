"""Results as files: one JSON a run, and the tables and the plot that are made from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import floor
from pathlib import Path
from typing import Any

from bench.figure import Figure
from feature_store.errors import BadInput


def write_result(out: Path, name: str, result: dict[str, Any]) -> None:
    """Write a result as JSON, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_result(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        BadInput: there is none, or it is not one.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not a result: {error}", next_step="Run make bench.") from None
    if not isinstance(result, dict):
        raise BadInput(f"{path} is not a result: expected an object.")
    return result


def write_tables(out: Path, name: str, title: str, tables: Callable[[dict[str, Any]], str]) -> None:
    """Make the tables of a result in a folder, and print them.

    Args:
        out: the folder.
        name: of the result, and of the command that made it.
        title: what was measured.
        tables: makes the tables of a result.

    Raises:
        BadInput: the folder holds no such result.
    """
    made = tables(read_result(out / f"{name}.json"))
    words = f"# {title}\n\nWritten by `make bench-{name}`.\n\n"
    (out / f"{name}.md").write_text(words + made, encoding="utf-8")
    print(f"\n{made}\nWritten to {out}: {name}.json, {name}.md")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads as well in a terminal: columns padded, numbers to the right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = [_row(row, widths) for row in table]
    rule = [f"{'-' * (width - 1)}{':' if i else '-'}" for i, width in enumerate(widths)]
    lines.insert(1, _row(rule, widths))
    return "\n".join(lines)


def conditions(result: dict[str, Any]) -> str:
    """The machine, the server and the sessions, as a list in Markdown."""
    machine = result["machine"]
    dirty = " with uncommitted changes" if machine["uncommitted_changes"] else ""
    lines = [
        f"- {machine['at']}, commit {machine['commit'] or 'unknown'}{dirty}",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}; load before: {machine['load_before']}",
    ]
    for name, settings in result["conditions"]["profiles"].items():
        lines.append(f"- server, {name}: PostgreSQL {_listed(settings)}")
    for name, settings in result["conditions"]["sessions"].items():
        lines.append(f"- {name} session: {_listed(settings)}")
    return "\n".join(lines)


def number(value: Figure | float | None, digits: int = 2) -> str:
    """A number for a table; a dash for none, and ``> 120.0`` for what is at least that."""
    if value is None:
        return "–"
    if not isinstance(value, Figure):
        return f"{value:,.{digits}f}"
    if not value.lower_bound:
        return f"{value.value:,.{digits}f}"
    # Rounded down, for more is not known.
    return f"> {floor(value.value * 10**digits) / 10**digits:,.{digits}f}"


def _listed(settings: dict[str, str]) -> str:
    return ", ".join(
        value if name == "version" else f"{name} {value}" for name, value in settings.items()
    )


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"
