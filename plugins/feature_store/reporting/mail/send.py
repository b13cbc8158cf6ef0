"""The one mail of a failed run, sent by the task that fails it.

A notice with the mail's first lines goes out too, if a connection for it is set (`channels`).

A failure here is logged in one line and changes nothing: a run's state never depends on its mail.
If a run died without sending its mail, the next run sends it (`mail_untold`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from feature_store.database.session import open_session
from feature_store.reporting.mail.airflow_facts import (
    failed_run,
    untold_run,
)
from feature_store.reporting.mail.channels import channels, to_be_told
from feature_store.reporting.mail.compose import Mail, compose
from feature_store.reporting.mail.delivery import DeliveryState, reason
from feature_store.reporting.mail.mail_book import About, Book, mailed_of_run
from feature_store.reporting.mail.mail_record import Mailed, mailed, untold_failures
from feature_store.reporting.mail.run_facts import FailedRun, MailFacts, read_facts
from feature_store.reporting.mail.time_limit import within
from feature_store.reporting.run.short_cause import cause_of
from feature_store.reporting.secrets import hide, know_all_secrets
from feature_store.schema.store_record import another_store
from feature_store.settings import Settings, read_settings
from feature_store.store_address import addressed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.audit.lease import RunKey
    from feature_store.connection import Connection

log = logging.getLogger(__name__)

# The longest wait for one statement, for one lock, and for all facts together, in seconds.
_PATIENCE = 30

MAYBE_SECOND = "You may already have this mail: nobody knows whether the first one arrived."
"""Said in a mail that may be a second one."""
_LATE = (
    "This mail is late: the run ended without sending it. Run {run_id} sends it, and is at work "
    "now: wait for its result first."
)


def mail_failure(
    context: Context,
    error: BaseException | None,
    verdict: int | None = None,
    read: Callable[[], Settings] = read_settings,
) -> None:
    """Mail that this run failed. Never raises.

    Args:
        context: of the task that gives the verdict.
        error: the error that failed it.
        verdict: its number in the record; None if it could not be recorded.
        read: gives the store's settings.
    """
    try:
        _mail_failure(context, error, verdict, read)
    except Exception as problem:
        # Not even the facts could be read.
        log.error("No failure mail was sent: %s", hide(reason(problem)))


def mail_untold(
    connection: Connection,
    context: Context,
    has_failed: Callable[[RunKey], bool],
    read: Callable[[], Settings] = read_settings,
) -> None:
    """Mail about other failed runs that nobody has been told of. Never raises.

    Args:
        connection: a session on the record.
        context: of a task whose run holds the lease.
        has_failed: whether a run is over and has failed, according to Airflow.
        read: gives the store's settings.
    """
    try:
        _mail_untold(connection, context, has_failed, read)
    except Exception as problem:
        log.error("No mail was sent about a run that failed before: %s", hide(reason(problem)))


def _mail_failure(
    context: Context, error: BaseException | None, verdict: int | None, read: Callable[[], Settings]
) -> None:
    settings = to_be_told("failure mail", read)
    if settings is None:
        return
    with ExitStack() as stack:
        connection = None
        if verdict is not None:
            try:
                connection = stack.enter_context(open_session(_hurried(settings), "mail"))
            except Exception as problem:
                log.warning("Cannot tell whether it was mailed before: %s", hide(reason(problem)))
        recorded = verdict is not None
        facts = cache(lambda: _facts(failed_run(context, error, settings, recorded), settings))
        for channel in channels(settings):
            known = Mailed()
            if connection is not None and verdict is not None:
                try:
                    known = mailed(connection, verdict, channel.kind("failure"))
                except Exception as problem:
                    log.warning(
                        "Cannot tell whether people know already: %s", hide(reason(problem))
                    )
            if channel.has_enough(known):
                log.info("%s has already been told of this failure.", channel.to)
                continue
            book = Book(connection, channel, About("failure", verdict), known, context["ti"])
            _tell(facts(), settings, known, book)


def _mail_untold(
    connection: Connection,
    context: Context,
    has_failed: Callable[[RunKey], bool],
    read: Callable[[], Settings],
) -> None:
    settings = read()
    for channel in channels(settings):
        untold = untold_failures(connection, channel.kind("failure"))
        for one in filter(lambda one: has_failed(one.run), untold):
            know_all_secrets(settings)
            known = mailed_of_run(connection, channel, one.verdict, context["ti"], one.run)
            if channel.has_enough(known):
                continue
            book = Book(connection, channel, About("failure", one.verdict), known)
            facts = _facts(untold_run(context, one, settings), settings)
            late = _LATE.format(run_id=context["dag_run"].run_id)
            if not _tell(facts, settings, known, book, late):
                break  # the server takes no mail now: do not wait for it again


def _tell(facts: MailFacts, settings: Settings, known: Mailed, book: Book, *notes: str) -> bool:
    doubt = (MAYBE_SECOND,) if known.doubtful else ()
    return send(compose(replace(facts, notes=(*notes, *doubt)), hide), settings, book)


def send(mail: Mail, settings: Settings, book: Book) -> bool:
    """Hand a message to its channel, and record whether it was sent.

    Returns:
        Whether it went out.
    """
    channel = book.channel
    mail = of_its_store(mail, settings)
    delivery = channel.deliver(mail, settings, lambda: book.begin(mail.subject))
    book.end(delivery)
    if delivery.state is DeliveryState.SENT:
        log.info("Sent to %s: %s", channel.to, mail.subject)
        return True
    if delivery.state is DeliveryState.NOT_WANTED:
        log.info("The %s %r is not sent: %s.", channel.name, mail.subject, delivery.state.value)
        return False
    told = {
        DeliveryState.NOT_SENT: "could not be sent",
        DeliveryState.UNKNOWN: "may have been sent or not",
    }[delivery.state]
    log.error(
        "The %s %r %s through %s: %s",
        channel.name,
        mail.subject,
        told,
        delivery.through,
        delivery.problem,
    )
    return False


def of_its_store(mail: Mail, settings: Settings) -> Mail:
    """A message whose commands reach the store that it is about."""
    return replace(
        mail,
        text=addressed(settings)(mail.text),
        html=addressed(settings, escape)(mail.html),
    )


def _facts(run: FailedRun, settings: Settings) -> MailFacts:

    def read() -> MailFacts:
        with open_session(_hurried(settings), "mail") as connection:
            if refusal := another_store(connection, settings.include_dir):
                raise refusal
            return read_facts(run, connection, settings.include_dir)

    try:
        return within(_PATIENCE, read)
    except Exception as problem:
        why_not = cause_of(problem)
        log.warning("The failure mail lacks what the audit tables know: %s", hide(why_not))
        return read_facts(run, None, settings.include_dir, why_not)


def _hurried(settings: Settings) -> Settings:
    patient = min(_PATIENCE, settings.statement_timeout or _PATIENCE)
    return replace(
        settings,
        statement_timeout=patient,
        lock_timeout=min(_PATIENCE, settings.lock_timeout),
    )
