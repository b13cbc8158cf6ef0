"""The one mail of a failed run, sent by the task that fails it; and of old days that changed.

Whatever goes wrong here is logged in one line and changes nothing: a run's state never depends on
its mail. A run that died without a word is told by the next one (`mail_untold`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from feature_store.reporting.mail.airflow_facts import (
    day_of,
    failed_run,
    links,
    untold_run,
)
from feature_store.reporting.mail.delivery import Outcome, deliver, reason
from feature_store.reporting.mail.secrets import hide, know_secrets
from feature_store.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg import Connection

    from feature_store.audit.lease import Holder
    from feature_store.reporting.mail.compose import Mail
    from feature_store.reporting.mail.mail_book import Book
    from feature_store.reporting.mail.mail_record import Mailed
    from feature_store.reporting.mail.run_facts import FailedRun, MailFacts
    from feature_store.validation.history.mailed_reviews import Unmailed

log = logging.getLogger(__name__)

# A mail is not worth a long wait: in seconds, for each statement, for each lock, for all facts.
_PATIENCE = 30

_MAYBE_SECOND = (
    "You may have had this mail before: when it was sent first, nobody learned whether it came."
)
_LATE = "This mail comes late: the run ended without one, and a later run tells of it."


def mail_failure(
    context: Context,
    error: BaseException | None,
    verdict: int | None = None,
    read: Callable[[], Settings] = read_settings,
) -> None:
    """Mail that this run failed. Never raises.

    Args:
        context: of the task that gives the verdict.
        error: what it failed of.
        verdict: its number in the record; None if it could not be recorded.
        read: gives the store's settings.
    """
    try:
        _mail_failure(context, error, verdict, read)
    except Exception as problem:
        # The last resort: not even the facts could be had.
        log.error("No failure mail was sent: %s", hide(reason(problem)))


def mail_untold(
    connection: Connection[Any],
    context: Context,
    has_failed: Callable[[Holder], bool],
    read: Callable[[], Settings] = read_settings,
) -> None:
    """Mail of other runs that failed, and of which nobody has been told. Never raises.

    Args:
        connection: a session on the record.
        context: of a task that has its turn.
        has_failed: whether a run is over and has failed, by what Airflow says.
        read: gives the store's settings.
    """
    try:
        _mail_untold(connection, context, has_failed, read)
    except Exception as problem:
        log.error("No mail was sent about a run that failed before: %s", hide(reason(problem)))


def mail_reviews(
    connection: Connection[Any],
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
    connection: Connection[Any],
    context: Context,
    read: Callable[[], Settings] = read_settings,
) -> None:
    """Mail which warnings of a good run are new, and which are over. Never raises."""
    try:
        _mail_warnings(connection, context, read)
    except Exception as problem:
        log.error("No mail was sent about warnings: %s", hide(reason(problem)))


def _mail_failure(
    context: Context, error: BaseException | None, verdict: int | None, read: Callable[[], Settings]
) -> None:
    from feature_store.database.session import open_session
    from feature_store.reporting.mail.mail_book import Book
    from feature_store.reporting.mail.mail_record import Mailed, mailed

    settings = _settings("failure mail", read)
    if settings is None:
        return
    with ExitStack() as stack:
        connection, known = None, Mailed()
        if verdict is not None:
            try:
                connection = stack.enter_context(open_session(_hurried(settings), "mail"))
                known = mailed(connection, verdict)
            except Exception as problem:
                log.warning("Whether it was mailed before is not known: %s", hide(reason(problem)))
        if known.enough:
            log.info("This failure has been mailed before.")
            return
        book = Book(connection, "failure", verdict, known, context["ti"])
        _tell(failed_run(context, error, settings), settings, known, book)


def _mail_untold(
    connection: Connection[Any],
    context: Context,
    has_failed: Callable[[Holder], bool],
    read: Callable[[], Settings],
) -> None:
    from feature_store.reporting.mail.mail_book import Book, mailed_of_run
    from feature_store.reporting.mail.mail_record import untold_failures

    untold = [one for one in untold_failures(connection) if has_failed(one.run)]
    settings = _settings("mail of a run that failed before", read) if untold else None
    for one in untold if settings else ():
        assert settings is not None
        known = mailed_of_run(connection, one.verdict, context["ti"], one.run)
        if not known.enough:
            book = Book(connection, "failure", one.verdict, known)
            if not _tell(untold_run(context, one, settings), settings, known, book, _LATE):
                return  # nobody is kept waiting for more mails to a server that takes none


def _mail_reviews(
    connection: Connection[Any], context: Context, found: Unmailed, read: Callable[[], Settings]
) -> bool:
    from feature_store.audit.lease import Holder
    from feature_store.audit.runs import verdict_of
    from feature_store.reporting.mail.compose import compose_review
    from feature_store.reporting.mail.mail_book import Book
    from feature_store.reporting.mail.mail_record import Mailed
    from feature_store.reporting.mail.next_steps import Step
    from feature_store.reporting.mail.run_facts import MailFacts, title_of

    settings = _settings("mail about old days that changed", read)
    if settings is None:
        return False
    run = Holder(context["dag_run"].dag_id, context["dag_run"].run_id)
    facts = MailFacts(
        dag_id=run.dag_id,
        run_id=run.run_id,
        as_of_day=day_of(context, settings),
        title=title_of(settings.include_dir),
        section="Old days changed, for review",
        links=links(settings, run.dag_id, run.run_id),
        notes=(_MAYBE_SECOND,) if found.doubtful else (),
    )
    days = sorted({review.day for review in found.reviews if review.day})
    steps = [
        Step("This shows what is pending:", "bin/feature-store history"),
        *(
            Step(
                f"If {day} is right as it is now, accept it, as the reviewer or the owner:",
                f"bin/feature-store accept-history --day {day} --reason '…'",
            )
            for day in days[:5]
        ),
    ]
    texts = [str(review) for review in found.reviews]
    mail = compose_review(facts, days, texts, steps, hide)
    known = Mailed(tries=int(found.doubtful))
    verdict = verdict_of(connection, run)
    return _send(mail, settings, Book(connection, "review", verdict, known, None, found.sightings))


def _mail_warnings(
    connection: Connection[Any], context: Context, read: Callable[[], Settings]
) -> None:
    from feature_store.audit.lease import Holder
    from feature_store.audit.runs import verdict_of
    from feature_store.reporting.mail.compose import compose_warnings
    from feature_store.reporting.mail.mail_book import Book
    from feature_store.reporting.mail.mail_record import Mailed, told_warnings
    from feature_store.reporting.mail.run_facts import MailFacts, leading_column, title_of
    from feature_store.reporting.run.read import read_findings

    run = Holder(context["dag_run"].dag_id, context["dag_run"].run_id)
    findings = read_findings(connection, run.dag_id, run.run_id)
    now = {f"{f.relation}: {f.expected}": f for f in findings if f.is_warning}
    told = told_warnings(connection)
    new, over = now.keys() - told, told - now.keys()
    settings = _settings("mail about warnings", read) if new or over else None
    if settings is None:
        return
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
    book = Book(
        connection,
        "warning",
        verdict_of(connection, run),
        Mailed(),
        warnings=tuple(sorted(now)),
    )
    _send(compose_warnings(facts, sorted(over), hide), settings, book)


def _tell(run: FailedRun, settings: Settings, known: Mailed, book: Book, *notes: str) -> bool:
    from feature_store.reporting.mail.compose import compose

    facts = _facts(run, settings)
    doubt = (_MAYBE_SECOND,) if known.doubtful else ()
    return _send(compose(replace(facts, notes=(*notes, *doubt)), hide), settings, book)


def _send(mail: Mail, settings: Settings, book: Book) -> bool:
    delivery = deliver(mail, settings, lambda: book.begin(mail.subject))
    book.end(delivery)
    if delivery.outcome is Outcome.SENT:
        log.info("Sent to %s: %s", settings.mail_to, mail.subject)
        return True
    told = {
        Outcome.NOT_SENT: "could not be sent",
        Outcome.UNKNOWN: "may have been sent or not",
    }[delivery.outcome]
    log.error(
        "The mail %r %s through %s: %s", mail.subject, told, delivery.through, delivery.problem
    )
    return False


def _facts(run: FailedRun, settings: Settings) -> MailFacts:
    from feature_store.database.session import open_session
    from feature_store.reporting.mail.patience import within
    from feature_store.reporting.mail.run_facts import read_facts
    from feature_store.reporting.run.short_cause import cause_of

    def read() -> MailFacts:
        with open_session(_hurried(settings), "mail") as connection:
            return read_facts(run, connection, settings.include_dir)

    try:
        return within(_PATIENCE, read)
    except Exception as problem:
        why_not = cause_of(problem)
        log.warning("The failure mail goes without the store's audit tables: %s", hide(why_not))
        return read_facts(run, None, settings.include_dir, why_not)


def _settings(what: str, read: Callable[[], Settings]) -> Settings | None:
    """The settings, if anybody is to get a mail, with their connections' secrets known."""
    settings = read()
    if not settings.mail_to:
        log.info("No %s: FEATURE_STORE_MAIL_TO names nobody.", what)
        return None
    know_secrets(settings.conn_id)
    know_secrets(settings.smtp_conn_id)
    return settings


def _hurried(settings: Settings) -> Settings:
    patient = min(_PATIENCE, settings.statement_timeout or _PATIENCE)
    return replace(
        settings,
        statement_timeout=patient,
        lock_timeout=min(_PATIENCE, settings.lock_timeout),
    )
