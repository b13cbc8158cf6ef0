"""The mails' wording: turns the facts of a run into a subject, a text and an HTML part.

Nothing here opens a connection, so each mail can be tested from its facts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from feature_store.errors import ExpectationsBroken, RunFailed
from feature_store.reporting.mail.clean_text import Named, clean_text, cut, one_line
from feature_store.reporting.mail.run_facts import RUN_LINK, MailFacts
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.headline import unchecked, what_broke
from feature_store.reporting.run.step import Step

# A mail has at most two screens, on a phone too. The report, the log and `history` have the rest.
# Rows shown of the first finding, and of each later one.
_MOST_ROWS, _MOST_OF_OTHERS = 20, 3
_MOST_COLUMNS = 8
# Findings in full, and by name: of what broke, and of a warning in the mail about warnings.
_MOST_FINDINGS, _MOST_NAMED = 2, 4
_MOST_REVIEWS = 10
# Warnings and reviews in the mail of a failure, where they are not what it is about.
_MOST_WARNINGS, _MOST_BESIDE = 1, 1
_MOST_LINES, _MOST_TEXT = 8, 800
_SUBJECT = 120
_CELL = 48
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Mail:
    """A mail ready to be sent: a subject of one line, a plain text and an HTML page.

    ``link`` is the line of its text that leads to the run; empty: there is none.
    """

    subject: str
    text: str
    html: str
    link: str = ""


@dataclass(frozen=True)
class Section:
    """Findings under a heading: in full, by name, and how many are left out."""

    heading: str
    in_full: tuple[tuple[Finding, Table | None], ...]
    named: tuple[str, ...]
    left_out: int


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


def compose(facts: MailFacts, hide: Callable[[str], str] = str) -> Mail:
    """Write the mail of a failed run.

    Args:
        facts: of the failed run. Any text in them may come from data, so it is escaped.
        hide: replaces secrets in a text. Each value passes through it before it is escaped.
    """
    headline = what_broke(facts.account, facts.findings)
    clean = partial(clean_text, hide=hide)
    critical = [finding for finding in facts.findings if finding.is_critical]
    errors = [finding for finding in facts.findings if finding.outcome == "error"]
    warnings = [finding for finding in facts.findings if finding.is_warning]
    detail = f" ({critical[0].expected})" if len(critical) == 1 else ""
    if any(not task.suite for task in facts.account.failed):
        detail = ""
    values = {
        "facts": facts,
        "headline": one_line(clean(headline)),
        "account": list(_untold(facts, one_line(clean(headline)), clean)),
        "sections": [
            *_section(facts, "Broken", critical, clean),
            *_section(facts, "Could not be checked (says nothing about the data)", errors, clean),
            *_section(facts, "Warnings", warnings, clean, full=0, named=_MOST_WARNINGS),
        ],
        "reviews": _capped(facts.reviews, _MOST_BESIDE),
        "steps": facts.steps,
    }
    return _render("mail", facts, headline + detail, values, clean)


_REVIEW = (
    "The run passed. These days are older than the settling window, but their rows in the sources "
    "have changed. Each change waits until a person accepts it and gives a reason."
)
_UNANSWERED = (
    "Closed without an answer: the definition of a layer changed while these days were waiting. "
    "Its history starts again from the rows as they are. Nobody has said that they are right:"
)


def compose_review(
    run: MailFacts,
    days: Sequence[date],
    reviews: Sequence[str],
    steps: Sequence[Step],
    hide: Callable[[str], str] = str,
    unanswered: Sequence[str] = (),
) -> Mail:
    """Write the mail of a good run that found old days changed.

    Args:
        run: the run.
        days: that changed, in order; empty if the mail only tells of unanswered reviews.
        reviews: what changed, one line a day.
        steps: what to do.
        hide: as in `compose`.
        unanswered: reviews that a changed definition closed, one line a day.
    """
    if len(days) > 1:
        headline = f"{len(days)} old days ({days[0]} to {days[-1]}) have changed: please review"
    elif days:
        headline = f"the old day {days[0]} has changed: please review"
    else:
        headline = "reviews were closed without an answer, because a definition changed"
    values = {
        "facts": run,
        "headline": headline,
        "meaning": _REVIEW if days else "The run passed.",
        "reviews": _capped(reviews, _MOST_REVIEWS),
        "closed": _UNANSWERED,
        "unanswered": _capped(unanswered, _MOST_BESIDE if reviews else _MOST_REVIEWS, ""),
        "steps": steps,
    }
    return _render("review", run, headline, values, partial(clean_text, hide=hide))


def compose_warnings(
    run: MailFacts,
    news: Sequence[str],
    over: Sequence[str],
    steps: Sequence[Step],
    hide: Callable[[str], str] = str,
) -> Mail:
    """Write the mail of a good run in which warnings are new, or over.

    Args:
        run: the run; its findings are the new warnings, and those that name something new.
        news: the same, in a line each.
        over: the warnings of before that no longer hold.
        steps: what to do about the new ones.
        hide: as in `compose`.
    """
    told, state = (news, "new") if news else (over, "over")
    headline = f"{'a warning is' if len(told) == 1 else f'{len(told)} warnings are'} {state}"
    headline = f"{headline}: {told[0]}"
    clean = partial(clean_text, hide=hide)
    values = {
        "facts": run,
        "headline": one_line(clean(headline)),
        "meaning": "The run passed. A warning does not fail a run, and is not mailed again while "
        "it lasts, unless it names something else.",
        "steps": steps,
        "sections": list(_section(run, "Warnings", run.findings, clean, named=_MOST_NAMED)),
        "over": _capped(over, _MOST_BESIDE if news else _MOST_NAMED, ""),
    }
    return _render("warning", run, headline, values, clean)


def _render(
    template: str,
    run: MailFacts,
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
    of_day = f" {run.as_of_day}" if run.as_of_day else ""
    links = [(name, Named(address)) for name, address in run.links]
    values = values | {
        "facts": replace(run, links=tuple(links)),
        "steps": [Step(step.words, Named(step.command)) for step in values["steps"]],
    }
    return Mail(
        subject=cut(one_line(clean(f"{run.title}{of_day}: {headline}")), _SUBJECT, "..."),
        text=environment.get_template(f"{template}.txt.jinja").render(values),
        html=environment.get_template(f"{template}.html.jinja").render(values),
        link=next((f"{name}: {clean(at)}" for name, at in links if name == RUN_LINK), ""),
    )


def _untold(facts: MailFacts, headline: str, clean: Callable[[Any], str]) -> Iterator[str]:
    """The known causes that neither the headline nor the findings show."""
    account = facts.account
    lines: list[str] = []
    told_by_findings = {f.suite for f in facts.findings if f.is_critical or f.outcome == "error"}
    for task in account.failed:
        if task.suite in told_by_findings:
            continue
        unsaid = task.suite and task.cause.kind != ExpectationsBroken.__name__
        lines += [
            unchecked(task.suite, task.cause.text) if task.suite and unsaid else str(task),
            *task.cause.items,
        ]
    if account.kind != RunFailed.__name__:
        lines += [account.head, *account.items]
    shown, length = 0, 0
    for item in lines:
        told = [one_line(clean(line)) for line in item.split("\n")]
        if all(text.rstrip(".:") in headline for text in told):
            continue
        for text in told:
            shown, length = shown + 1, length + len(text)
            if shown > _MOST_LINES or (shown > 1 and length > _MOST_TEXT):
                yield "The log has the rest."
                return
            yield text


def _section(
    facts: MailFacts,
    heading: str,
    found: Sequence[Finding],
    clean: Callable[[Any], str],
    full: int = _MOST_FINDINGS,
    named: int = 0,
) -> Iterator[Section]:
    """Findings under a heading: the first few in full, some more by name, the rest counted."""
    if found:
        yield Section(
            heading,
            tuple(
                (f, _table(f.sample[: _MOST_OF_OTHERS if n else _MOST_ROWS], facts.key, clean))
                for n, f in enumerate(found[:full])
            ),
            tuple(
                f"{f.relation}: expected {f.expected}; {f.found}"
                for f in found[full : full + named]
            ),
            max(0, len(found) - full - named),
        )


def _capped(
    lines: Sequence[str], most: int, rest: str = ": bin/feature-store history"
) -> Sequence[str]:
    """The first lines, and how many more there are, and where."""
    left_out = len(lines) - most
    return lines if left_out <= 0 else [*lines[:most], f"and {left_out} more{rest}"]


def _table(rows: Sequence[dict[str, Any]], key: str, clean: Callable[[Any], str]) -> Table | None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        return None
    # The record does not keep the order of a row's columns. The key comes first.
    columns.sort(key=lambda column: column != key)

    def cell(value: Any) -> str:
        return cut(one_line(clean("NULL" if value is None else value)), _CELL)

    shown = columns[:_MOST_COLUMNS]
    return Table(
        columns=tuple(cell(column) for column in shown),
        rows=tuple(tuple(cell(row.get(column, "")) for column in shown) for row in rows),
        left_out=len(columns) - len(shown),
    )
