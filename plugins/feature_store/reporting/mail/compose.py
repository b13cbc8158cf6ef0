"""The mails' words: from the facts of a run to a subject, a text and an HTML part.

Nothing here talks to anybody, so that every mail can be tested from its facts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from feature_store.reporting.mail.short_cause import with_its_head

MOST_ROWS = 20
_MOST_COLUMNS = 8
_MOST_FINDINGS = 25
_SUBJECT = 120
_CELL = 48
_VALUE = 1200
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Finding:
    """An expectation that is broken, or that could not be checked.

    Attributes:
        suite: it belongs to.
        relation: it is about.
        expected: what must hold, in words.
        observed: what was found, or why it could not be checked.
        severity: ``critical`` or ``warning``.
        amount: how much breaches it, such as ``3 rows``; empty if that is not known.
        sample: some of the rows that breach it.
    """

    suite: str
    relation: str
    expected: str
    observed: str
    severity: str = "critical"
    amount: str = ""
    sample: tuple[dict[str, Any], ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The relations that its rows name; of an ordinary one, which is about one, none."""
        return tuple(str(row["relation"]) for row in self.sample if "relation" in row)


@dataclass(frozen=True)
class FailedTask:
    """A task that failed, with its cause in a few words (empty if unknown).

    Attributes:
        task_id: as Airflow shows it.
        cause: why, in a few words.
        suite: the suite that it was to check, if it is a suite's.
    """

    task_id: str
    cause: str = ""
    suite: str | None = None


@dataclass(frozen=True)
class RunFacts:
    """What is known of a failed run.

    Attributes:
        dag_id: of the DAG.
        run_id: of its run.
        as_of_day: the day that the run answers for, if known.
        failed: tasks that failed, the verdict's own not among them.
        never_ran: tasks that never ran.
        breaches: broken expectations, warnings too.
        errors: expectations that could not be checked, which says nothing about the data.
        problem: what the verdict said; empty where the rest says it all.
        readers: what readers see now.
        certified: what was certified last, if known.
        reviews: old days that changed and that nobody has accepted, seen first by this run.
        next_steps: what to do, commands among them.
        links: pairs of a label and an address.
        notes: on the mail itself, such as that it comes late.
    """

    dag_id: str
    run_id: str
    as_of_day: date | None = None
    failed: tuple[FailedTask, ...] = ()
    never_ran: tuple[str, ...] = ()
    breaches: tuple[Finding, ...] = ()
    errors: tuple[Finding, ...] = ()
    problem: str = ""
    readers: str = ""
    certified: str | None = None
    reviews: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mail:
    """A mail ready to be sent: a subject of one line, a plain text and an HTML page."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Table:
    """Sample rows, cells cut to size."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int

    @property
    def lines(self) -> list[str]:
        """The table in plain text, columns aligned."""
        everything = (self.columns, *self.rows)
        widths = [max(len(row[i]) for row in everything) for i in range(len(self.columns))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in everything
        ]


def compose(facts: RunFacts, hide: Callable[[str], str] = str) -> Mail:
    """Write the mail.

    Args:
        facts: of the failed run; any text in them may come from data and is treated as such.
        hide: replaces secrets in a text; every value passes through it before it is escaped.
    """
    headline = what_broke(facts)
    clean = partial(_clean, hide=hide)
    values = {
        "facts": facts,
        "headline": _one_line(clean(headline)),
        "sections": _sections(facts, clean),
    }
    return _render("mail", facts.as_of_day, headline, values, clean)


def compose_review(
    run: RunFacts,
    days: Sequence[date],
    reviews: Sequence[str],
    commands: Sequence[str],
    hide: Callable[[str], str] = str,
) -> Mail:
    """Write the mail of a good run that found old days changed.

    Args:
        run: the run.
        days: that changed, in order.
        reviews: what changed, one text each; a day that changed in several layers has several.
        commands: what to do.
        hide: as in `compose`.
    """
    which = f"the old day {days[0]} has"
    if len(days) > 1:
        which = f"{len(days)} old days ({days[0]} to {days[-1]}) have"
    headline = f"{which} changed, for review"
    clean = partial(_clean, hide=hide)
    values = {
        "headline": headline,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "as_of_day": run.as_of_day,
        "notes": run.notes,
        "meaning": "The run passed. What happened on these days is long settled, yet the sources "
        "tell it otherwise than before. It waits until a person accepts it with a reason.",
        "reviews": reviews[:_MOST_FINDINGS],
        "left_out": max(0, len(reviews) - _MOST_FINDINGS),
        "commands": commands,
        "links": run.links,
    }
    return _render("review", run.as_of_day, headline, values, clean)


def _render(
    template: str,
    day: date | None,
    headline: str,
    values: dict[str, Any],
    clean: Callable[[Any], str],
) -> Mail:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",), default=False),
        finalize=clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    of_day = f" {day}" if day else ""
    return Mail(
        subject=_cut(_one_line(clean(f"feature store{of_day}: {headline}")), _SUBJECT, "..."),
        text=environment.get_template(f"{template}.txt.jinja").render(values),
        html=environment.get_template(f"{template}.html.jinja").render(values),
    )


def what_broke(facts: RunFacts) -> str:
    """What broke, in one phrase: the cause rather than what followed from it."""
    critical = [f for f in facts.breaches if f.severity == "critical"]
    if critical:
        return _phrase([_broken(f) for f in critical], critical[0].expected)
    phrases = [_failed(task) for task in facts.failed if not task.suite]
    if not phrases:
        phrases = [_unchecked(f.suite, f.observed) for f in facts.errors]
        known = {f.suite for f in facts.errors}
        phrases += [
            _unchecked(t.suite, t.cause) for t in facts.failed if t.suite and t.suite not in known
        ]
    if phrases:
        return _phrase(phrases)
    return with_its_head(facts.problem) or "the run failed, see its log"


def _broken(finding: Finding) -> str:
    if finding.layers:
        more = f" and {len(finding.layers) - 1} more" if len(finding.layers) > 1 else ""
        return f"{finding.suite} broken: {finding.layers[0]}{more}"
    if not finding.amount:
        return f"{finding.suite} broken: {finding.relation}"
    return f"{finding.suite} broken, {finding.amount} of {finding.relation}"


def _failed(task: FailedTask) -> str:
    return f"{task.task_id} failed: {task.cause}" if task.cause else f"{task.task_id} failed"


def _unchecked(suite: str, cause: str) -> str:
    return f"{suite} could not be checked" + (f" ({cause})" if cause else "")


def _phrase(phrases: Sequence[str], detail: str = "") -> str:
    if len(phrases) > 1:
        # Up front what must not be cut off.
        return f"{_cut(_one_line(phrases[0]), 80, '...')} and {len(phrases) - 1} more"
    return f"{phrases[0]} ({detail})" if detail else phrases[0]


def _sections(
    facts: RunFacts, clean: Callable[[Any], str]
) -> list[tuple[str, list[tuple[Finding, Table | None]], int]]:
    """Findings under their headings, each with its table, and how many are left out."""
    groups = (
        ("Broken", [f for f in facts.breaches if f.severity == "critical"]),
        ("Could not be checked (says nothing about the data)", list(facts.errors)),
        ("Warnings", [f for f in facts.breaches if f.severity != "critical"]),
    )
    return [
        (
            heading,
            [(f, _table(f.sample, clean)) for f in found[:_MOST_FINDINGS]],
            max(0, len(found) - _MOST_FINDINGS),
        )
        for heading, found in groups
        if found
    ]


def _table(sample: Sequence[dict[str, Any]], clean: Callable[[Any], str]) -> Table | None:
    rows = sample[:MOST_ROWS]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        return None
    # The audit tables do not keep the order of a row's columns; the key leads.
    columns.sort(key=lambda column: column != "listing_id")

    def cell(value: Any) -> str:
        return _cut(_one_line(clean("NULL" if value is None else value)), _CELL)

    shown = columns[:_MOST_COLUMNS]
    return Table(
        columns=tuple(cell(column) for column in shown),
        rows=tuple(tuple(cell(row.get(column, "")) for column in shown) for row in rows),
        left_out=len(columns) - len(shown),
    )


def _clean(value: Any, hide: Callable[[str], str]) -> str:
    """A value as text without secrets, without control characters, and not endless."""
    # Secrets first: half of one would no longer be recognised.
    lines = _cut(hide(str(value)), _VALUE).expandtabs(4).split("\n")
    return "\n".join(
        "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in line)
        for line in lines
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int, end: str = "…") -> str:
    # A subject ends in ASCII: programs add blanks to one that has to be encoded and folded.
    return text if len(text) <= most else text[: most - len(end)].rstrip() + end
