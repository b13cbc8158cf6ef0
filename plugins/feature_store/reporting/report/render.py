"""The report of a run: one HTML file that needs no other files.

The verdict comes first, then what failed and what could not be checked, then the rest. It can be
written again at any time for any run in the audit tables.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from feature_store.audit.lease import RunKey
from feature_store.connection import Connection
from feature_store.declarations.declared_exceptions import DeclaredException
from feature_store.errors import BadInput
from feature_store.proof.proving import NOTHING_TO_COMPARE
from feature_store.reporting.report.sparkline import sparkline
from feature_store.reporting.run.facts import (
    Finding,
    ProofFacts,
    RefreshFacts,
    RunRecord,
    result_of,
)
from feature_store.reporting.run.headline import what_broke
from feature_store.reporting.run.read import read_record
from feature_store.reporting.run.samples import sample_rows

_NAME = 80


@dataclass(frozen=True)
class _Sample:
    """Rows as a table: the columns of all of them, and each row's cells."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class _Line:
    """A relation's last refresh, how much its rows changed with it, and three charts."""

    last: RefreshFacts
    change: str
    rows: Markup
    megabytes: Markup
    seconds: Markup


def write_report(
    connection: Connection,
    run: RunKey,
    directory: Path,
    exceptions: Sequence[DeclaredException],
    suites: Iterable[str],
) -> Path:
    """Write a run's report; readers see the old file or the whole new one.

    Only the account that writes it may read it.

    Args:
        connection: only read from.
        run: whose report it is.
        directory: created if missing, for that account only.
        exceptions: the declared exceptions.
        suites: the suites that a run checks, by name.

    Raises:
        BadInput: no such run is recorded, or the directory cannot be written to.
        NotReady: the store has not been created.
    """
    facts = read_record(connection, run.dag_id, run.run_id)
    html = render_report(facts, exceptions, suites)
    path = directory / file_name(run)
    unfinished = directory / f".{secrets.token_hex(8)}.tmp"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            unfinished.touch(mode=0o600, exist_ok=False)  # it shows rows of the sources
            unfinished.write_text(html, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(
            f"The report cannot be written to {directory}: {error.strerror or error}.",
            next_step="Choose a directory that this account may write to.",
        ) from error
    return path


def file_name(run: RunKey) -> str:
    """A file name for a run's report: safe everywhere, and of this run only."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{run.dag_id}-{run.run_id}")
    own = hashlib.sha256(f"{run.dag_id}\0{run.run_id}".encode()).hexdigest()
    return f"report-{readable[:_NAME].strip('-')}-{own[:10]}.html"


def render_report(
    facts: RunRecord, exceptions: Sequence[DeclaredException], suites: Iterable[str]
) -> str:
    """The report as HTML. The same facts give the same text."""
    checked = {finding.suite for finding in facts.findings}
    lines = [_line(history) for history in facts.refreshes]
    return _template().render(
        run=facts.run,
        verdict={"passed": "Passed", "failed": "FAILED", None: "No verdict yet"}.get(
            facts.run.verdict, facts.run.verdict
        ),
        took=_took(facts),
        at=_clock(ZoneInfo(facts.run.zone)),
        headline=what_broke(facts.run.account, facts.findings),
        missing=[suite for suite in suites if suite not in checked],
        not_refreshed=[line.last for line in lines if not line.last.of_run],
        facts=facts,
        exceptions=exceptions,
        lines=lines,
        said=_said,
        judged=_judged,
        rows_of=lambda rows: _sample(sample_rows(rows), facts.key),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["name"] = _name
    return environment.get_template("report.html.jinja")


def _said(expectation: Finding) -> str:
    """The result in one word or two."""
    result = result_of(expectation.outcome, expectation.severity)
    return {"broken": "BROKEN", "error": "NOT CHECKED"}.get(result, result)


def _judged(proof: ProofFacts) -> str:
    """What a proof's numbers mean."""
    if proof.broken:
        return "DIFFERS"
    return "all agree" if proof.compared else NOTHING_TO_COMPARE


def _sample(rows: Sequence[dict[str, Any]], key: str) -> _Sample:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    # The audit tables do not keep the order of a row's columns. The key comes first.
    columns.sort(key=lambda column: column not in ("key", key))
    # A proof's row has only the columns that differ.
    return _Sample(columns, [[_cell(row.get(c, "")) for c in columns] for row in rows])


def _cell(value: Any) -> str:
    """A value of a sample row in words."""
    return "NULL" if value is None else str(value)


def _name(text: str) -> Markup:
    """A long name that may break after its dots and underscores, and only there."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[._])", text))


def _line(history: tuple[RefreshFacts, ...]) -> _Line:
    last = history[-1]
    change = f"{last.row_count - history[-2].row_count:+,}" if len(history) > 1 else ""
    return _Line(
        last=last,
        change="no change" if change == "+0" else change,
        rows=_chart(history, "rows", [r.row_count for r in history], ",.0f"),
        megabytes=_chart(history, "MB", [r.bytes / 1e6 for r in history], ",.1f"),
        seconds=_chart(history, "seconds", [r.seconds for r in history], ",.2f"),
    )


def _chart(history: tuple[RefreshFacts, ...], unit: str, values: list[float], form: str) -> Markup:
    over = "1 refresh" if len(history) == 1 else f"the last {len(history)} refreshes"
    title = (
        f"{history[-1].relation}, {unit} over {over}: between {min(values):{form}} and "
        f"{max(values):{form}}, last {values[-1]:{form}}"
    )
    return sparkline(values, title)


def _took(facts: RunRecord) -> str:
    if facts.run.verdict_at is None:
        return ""
    seconds = round((facts.run.verdict_at - facts.run.prepared_at).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "less than 1 s"


def _clock(zone: ZoneInfo) -> Callable[[datetime], str]:
    return lambda moment: f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
