"""What a good run mails: old days that changed, and warnings that are new or over."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from feature_store.audit.lease import RunKey
from feature_store.audit.runs import is_about_now, verdict_of
from feature_store.declarations.files.text_file import PACKAGE_SQL
from feature_store.declarations.store_profile import read_profile
from feature_store.declarations.thresholds import read_thresholds, thresholds_in
from feature_store.errors import BadInput
from feature_store.reporting.mail.airflow_facts import day_of, links
from feature_store.reporting.mail.channels import channels, to_be_told
from feature_store.reporting.mail.compose import Mail, compose_review, compose_warnings
from feature_store.reporting.mail.delivery import reason
from feature_store.reporting.mail.known_warnings import (
    check_of,
    known_as,
    news_of,
    still_known,
)
from feature_store.reporting.mail.mail_book import About, Book
from feature_store.reporting.mail.mail_record import Mailed, told_sightings, told_warnings
from feature_store.reporting.mail.run_facts import MailFacts, title_of
from feature_store.reporting.mail.send import MAYBE_SECOND, send
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.read import read_findings
from feature_store.reporting.run.step import Step
from feature_store.reporting.secrets import hide, know_all_secrets
from feature_store.schema.store_record import leading_column
from feature_store.settings import Settings, read_settings
from feature_store.text_format import in_words
from feature_store.validation.history.acceptance import acceptance
from feature_store.validation.history.by_day import by_day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.connection import Connection
    from feature_store.validation.history.mailed_reviews import Unmailed

log = logging.getLogger(__name__)

# Commands that accept a day. One more line tells of the others.
_MOST_COMMANDS = 3


def mail_reviews(
    connection: Connection,
    context: Context,
    found: Unmailed,
    read: Callable[[], Settings] = read_settings,
) -> bool:
    """Mail that a good run found old days changed. Never raises; False if no mail went out."""
    try:
        return _mail_reviews(connection, context, found, read)
    except Exception as problem:
        log.error("No mail was sent about old days that changed: %s", hide(reason(problem)))
        return False


def mail_warnings(
    connection: Connection,
    context: Context,
    read: Callable[[], Settings] = read_settings,
) -> None:
    """Mail which warnings of a good run are new and which are over. Never raises."""
    try:
        _mail_warnings(connection, context, read)
    except Exception as problem:
        log.error("No mail was sent about warnings: %s", hide(reason(problem)))


def _mail_reviews(
    connection: Connection, context: Context, found: Unmailed, read: Callable[[], Settings]
) -> bool:
    settings = to_be_told("mail about old days that changed", read)
    if settings is None:
        return False
    run = RunKey.of(context["dag_run"])
    key = leading_column(connection)
    verdict = verdict_of(connection, run)
    sent = True
    for channel in channels(settings):
        left, doubtful = found, found.doubtful
        if channel.name != "mail":  # what no mail has told may stand in a notice already
            left = found.without(told_sightings(connection, channel.kind("review")))
            doubtful = False
        if not left.sightings:
            continue
        mail = review_mail(
            run,
            day_of(context, settings),
            settings,
            by_day(left.reviews, key),
            list(by_day(left.unanswered, key).values()),
            (MAYBE_SECOND,) if doubtful else (),
        )
        about = About("review", verdict, left.sightings)
        book = Book(connection, channel, about, Mailed(tries=int(doubtful)))
        sent = send(mail, settings, book) and sent
    return sent


def review_mail(
    run: RunKey,
    as_of_day: date | None,
    settings: Settings,
    days: Mapping[date, str],
    unanswered: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Mail:
    """The mail about old days that changed: what changed, how to accept it, and links.

    Args:
        run: the run that found them.
        as_of_day: the day that it answers for, if known.
        settings: of the store.
        days: what changed, one line a day, in order.
        unanswered: reviews that a changed definition closed, one line a day.
        notes: on the mail itself.
    """
    facts = MailFacts(
        dag_id=run.dag_id,
        run_id=run.run_id,
        as_of_day=as_of_day,
        title=title_of(settings.include_dir),
        section="Old days changed, for review",
        links=links(settings, run.dag_id, run.run_id),
        notes=tuple(notes),
    )
    steps = list(_accept(list(days)))
    return compose_review(facts, list(days), list(days.values()), steps, hide, unanswered)


def _accept(days: Sequence[date]) -> Iterator[Step]:
    yield Step("To see what is pending, layer by layer:", "bin/feature-store history")
    for day in days[:_MOST_COMMANDS]:
        yield Step(
            f"If {day} is right as it is now, accept it as the reviewer or the owner, and say why:",
            acceptance(day),
        )
    if others := len(days[_MOST_COMMANDS:]):
        yield Step(
            f"For {'the other day' if others == 1 else f'the other {others} days'}: the same "
            "command with that day. Or a backfill, which accepts each day of its range."
        )


def _mail_warnings(connection: Connection, context: Context, read: Callable[[], Settings]) -> None:
    run = RunKey.of(context["dag_run"])
    if not is_about_now(connection, run):
        return  # as of an older day sources may be fresh, although they are not
    findings = read_findings(connection, run.dag_id, run.run_id)
    warnings = sorted((f for f in findings if f.is_warning), key=lambda f: (f.relation, f.expected))
    settings = to_be_told("mail about warnings", read) if warnings else read()
    if settings is None:
        return
    key = leading_column(connection)
    now = frozenset(name for finding in warnings for name in known_as(finding, key))
    for channel in channels(settings):
        told = told_warnings(connection, channel.kind("warning"))
        news = [found for f in warnings if (found := news_of(f, key, told))]
        over = {check_of(warning) for warning in told} - now
        if not news and not over:
            continue
        know_all_secrets(settings)
        facts = MailFacts(
            dag_id=run.dag_id,
            run_id=run.run_id,
            as_of_day=day_of(context, settings),
            title=title_of(settings.include_dir),
            findings=tuple(finding for _, finding in news),
            key=key,
            section="A warning",
            links=links(settings, run.dag_id, run.run_id),
        )
        verdict = verdict_of(connection, run)
        about = About("warning", verdict, warnings=tuple(sorted(still_known(told, now))))
        book = Book(connection, channel, about, Mailed())
        steps = list(_look_into(facts.findings, settings.include_dir))
        lines = [line for line, _ in news]
        send(compose_warnings(facts, lines, sorted(over), steps, hide), settings, book)


def _look_into(new: Sequence[Finding], include_dir: Path) -> Iterator[Step]:
    """What to do about new warnings."""
    if any(_is_of_old_sources(finding, include_dir) for finding in new):
        yield Step("The sources are old. See whether what loads them still runs.")
    if new:
        yield Step("To see all that the run found:", "bin/feature-store report")
        yield _if_it_is_right(new, include_dir)


def _if_it_is_right(new: Sequence[Finding], include_dir: Path) -> Step:
    """Which numbers decide on the warnings, and what they are now."""
    try:
        thresholds = read_thresholds(include_dir)
    except BadInput:
        thresholds = {}  # the next run reports it
    numbers: dict[str, float] = {}
    for finding in new:
        numbers |= thresholds_in(_query(finding, include_dir), thresholds)
    if not numbers:
        return Step("If it is right as it is: no number decides on it. The runbook says more.")
    named = in_words([f"{name} (now {number:g})" for name, number in numbers.items()])
    return Step(
        f"If it is right as it is, change {named} in include/thresholds.toml. Then, as the owner:",
        "bin/feature-store stamp-proofs",
    )


def _is_of_old_sources(finding: Finding, include_dir: Path) -> bool:
    """Whether the finding's query uses the number that says how old the sources may be."""
    try:
        number = read_profile(include_dir).newest.threshold
    except BadInput:
        return False
    return bool(number) and re.search(rf":{number}\b", _query(finding, include_dir)) is not None


def _query(finding: Finding, include_dir: Path) -> str:
    """The text of the file that found it, the store's or the package's; empty: there is none."""
    name = f"{finding.expectation}.sql"
    for folder in (
        include_dir / "sql" / "expectations" / finding.suite,
        PACKAGE_SQL / "expectations",
    ):
        with suppress(OSError, UnicodeDecodeError):
            return (folder / name).read_text(encoding="utf-8")
    return ""
