"""What a good run mails: old days that changed, and warnings that are new or over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from feature_store.audit.lease import RunKey
from feature_store.audit.runs import verdict_of
from feature_store.reporting.mail.airflow_facts import day_of, links
from feature_store.reporting.mail.channels import channels, to_be_told
from feature_store.reporting.mail.compose import compose_review, compose_warnings
from feature_store.reporting.mail.delivery import reason
from feature_store.reporting.mail.mail_book import About, Book
from feature_store.reporting.mail.mail_record import Mailed, told_warnings
from feature_store.reporting.mail.run_facts import MailFacts, title_of
from feature_store.reporting.mail.secrets import hide, know_all_secrets
from feature_store.reporting.mail.send import MAYBE_SECOND, send
from feature_store.reporting.run.next_steps import Step
from feature_store.reporting.run.read import read_findings
from feature_store.schema.store_record import leading_column
from feature_store.settings import Settings, read_settings
from feature_store.validation.history.acceptance import acceptance
from feature_store.validation.history.by_day import by_day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.connection import Connection
    from feature_store.validation.history.mailed_reviews import Unmailed

log = logging.getLogger(__name__)


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
    run = RunKey(context["dag_run"].dag_id, context["dag_run"].run_id)
    facts = MailFacts(
        dag_id=run.dag_id,
        run_id=run.run_id,
        as_of_day=day_of(context, settings),
        title=title_of(settings.include_dir),
        section="Old days changed, for review",
        links=links(settings, run.dag_id, run.run_id),
        notes=(MAYBE_SECOND,) if found.doubtful else (),
    )
    key = leading_column(connection)
    days = by_day(found.reviews, key)
    steps = [
        Step("To see what is pending, layer by layer:", "bin/feature-store history"),
        *(
            Step(
                f"If {day} is right as it is now, accept it as the reviewer or the owner, and say "
                "why:",
                acceptance(day),
            )
            for day in list(days)[:5]
        ),
    ]
    unanswered = list(by_day(found.unanswered, key).values())
    mail = compose_review(facts, list(days), list(days.values()), steps, hide, unanswered)
    known = Mailed(tries=int(found.doubtful))
    verdict = verdict_of(connection, run)
    sent = True
    for channel in channels(settings):
        book = Book(connection, channel, About("review", verdict, found.sightings), known)
        sent = send(mail, settings, book) and sent
    return sent


def _mail_warnings(connection: Connection, context: Context, read: Callable[[], Settings]) -> None:
    run = RunKey(context["dag_run"].dag_id, context["dag_run"].run_id)
    findings = read_findings(connection, run.dag_id, run.run_id)
    now = {f"{f.relation}: {f.expected}": f for f in findings if f.is_warning}
    settings = to_be_told("mail about warnings", read) if now else read()
    if settings is None:
        return
    for channel in channels(settings):
        told = told_warnings(connection, channel.kind("warning"))
        new, over = now.keys() - told, told - now.keys()
        if not new and not over:
            continue
        know_all_secrets(settings)
        facts = MailFacts(
            dag_id=run.dag_id,
            run_id=run.run_id,
            as_of_day=day_of(context, settings),
            title=title_of(settings.include_dir),
            findings=tuple(now[name] for name in sorted(new)),
            key=leading_column(connection),
            section="An expectation is broken",
            links=links(settings, run.dag_id, run.run_id),
        )
        verdict = verdict_of(connection, run)
        about = About("warning", verdict, warnings=tuple(sorted(now)))
        book = Book(connection, channel, about, Mailed())
        send(compose_warnings(facts, sorted(over), hide), settings, book)
