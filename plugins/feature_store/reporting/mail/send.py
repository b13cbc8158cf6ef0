"""The one mail of a failed run, sent when the verdict has finally failed; and of old days changed.

Whatever goes wrong here is logged in one line and changes nothing: a run's state never depends on
its mail.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, getaddresses, make_msgid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from airflow.providers.smtp.hooks.smtp import SmtpHook
    from airflow.sdk import Context

    from feature_store.reporting.mail.compose import Mail, RunFacts
    from feature_store.reporting.mail.run_facts import FailedRun
    from feature_store.settings import Settings
    from feature_store.validation.history.findings import Finding

log = logging.getLogger(__name__)

CAUSE = "cause"
"""The XCom key under which a task that fails leaves its cause, in a few words."""
REPORT = "report"
"""The XCom key under which the verdict's task leaves the address of the run's report."""

# A mail is not worth a long wait: in seconds, for each statement and for each lock.
_PATIENCE = 30
_MOST_CAUSES = 10


def leave_cause(context: Context, error: BaseException) -> None:
    """Leave a failed task's cause for the mail. Never raises."""
    from feature_store.reporting.mail.short_cause import cause_of

    try:
        context["ti"].xcom_push(key=CAUSE, value=_hide(cause_of(error))[:300])
    except Exception as problem:
        log.info("The cause was not left for the failure mail: %s", problem)


def mail_failure(context: Context) -> None:
    """Mail that a run failed: an ``on_failure_callback`` of the task that gives the verdict.

    Sends through the Airflow connection of `Settings.smtp_conn_id`. Never raises: a mail that
    cannot go out leaves one line in the log that says through which server, and why not.
    """
    try:
        _mail(context)
    except Exception as problem:
        # The last resort: not even the facts could be had.
        log.error("No failure mail was sent: %s", _hide(_reason(problem)))


def mail_reviews(context: Context, reviews: Sequence[Finding]) -> bool:
    """Mail that a good run found old days changed. Never raises; False if no mail went out."""
    try:
        return _mail_reviews(context, reviews)
    except Exception as problem:
        log.error("No mail was sent about old days that changed: %s", _hide(_reason(problem)))
        return False


def send(mail: Mail, hook: SmtpHook, settings: Settings) -> None:
    """Send a mail through an open hook, once.

    It is not tried again: a server that took the mail and then lost the connection would send it
    twice.

    Raises:
        ValueError: there is no sender.
        smtplib.SMTPException: the server refused it, or every recipient of it.
        OSError: the connection broke.
    """
    sender = settings.mail_from or hook.from_email or hook.smtp_user
    if "@" not in sender:
        raise ValueError(
            "there is no sender; set FEATURE_STORE_MAIL_FROM, or from_email in the connection"
        )
    message = _message(mail, sender, settings.mail_to)
    client: Any = hook._smtp_client
    refused = client.send_message(message)
    if refused:
        # The others have it, and must not get it again.
        log.error("The mail %r was refused for %s", mail.subject, _hide(str(refused)))


def _mail(context: Context) -> None:
    from feature_store.reporting.mail.compose import compose
    from feature_store.settings import read_settings

    settings = read_settings()
    if not settings.mail_to:
        log.info("No failure mail: FEATURE_STORE_MAIL_TO names nobody.")
        return
    _mask(settings.conn_id)
    _mask(settings.smtp_conn_id)
    facts = _facts(_failed_run(context, settings), settings)
    _send(compose(facts, _hide), settings)


def _mail_reviews(context: Context, reviews: Sequence[Finding]) -> bool:
    from feature_store.reporting.mail.compose import RunFacts, compose_review
    from feature_store.settings import read_settings

    settings = read_settings()
    if not settings.mail_to:
        log.info("No mail about old days that changed: FEATURE_STORE_MAIL_TO names nobody.")
        return False
    _mask(settings.smtp_conn_id)
    run, ti = context["dag_run"], context["ti"]
    facts = RunFacts(
        dag_id=run.dag_id,
        run_id=run.run_id,
        as_of_day=_as_of_day(context, settings),
        links=tuple(_links(ti, settings)),
    )
    days = sorted({review.day for review in reviews if review.day})
    accept = [f"bin/feature-store accept-history --day {day} --reason '…'" for day in days[:5]]
    commands = [
        "bin/feature-store history   shows what is pending; accept a day, if it is right, "
        "as the reviewer or the owner:"
    ]
    texts = [str(review) for review in reviews]
    mail = compose_review(facts, days, texts, [*commands, *accept], _hide)
    return _send(mail, settings)


def _send(mail: Mail, settings: Settings) -> bool:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    hook = SmtpHook(settings.smtp_conn_id)
    try:
        with hook:
            send(mail, hook, settings)
    except Exception as problem:
        log.error(
            "The mail %r could not be sent through %s: %s",
            mail.subject,
            _server(hook, settings),
            _hide(_reason(problem)),
        )
        return False
    log.info("Sent to %s: %s", settings.mail_to, mail.subject)
    return True


def _failed_run(context: Context, settings: Settings) -> FailedRun:
    from feature_store.reporting.mail.run_facts import FailedRun

    run, ti = context["dag_run"], context["ti"]
    states: dict[str, Any] = {}
    causes: dict[str, str] = {}
    report = None
    try:
        found = ti.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
        states = {
            task: None if state is None else str(state)
            for task, state in found.get(run.run_id, {}).items()
        }
        failed = [task for task, state in states.items() if state == "failed"]
        for task in failed[:_MOST_CAUSES]:
            causes[task] = ti.xcom_pull(task_ids=task, key=CAUSE) or ""
        report = ti.xcom_pull(task_ids=ti.task_id, key=REPORT)
    except Exception as problem:
        log.warning("Airflow did not say how the run's tasks stand: %s", problem)
    links = [*_links(ti, settings), *([("Report", str(report))] if report else [])]
    error = context.get("exception")
    return FailedRun(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=ti.task_id,
        error=error if isinstance(error, BaseException | None) else RuntimeError(error),
        as_of_day=_as_of_day(context, settings),
        logical_date=run.logical_date,
        states=states,
        causes=causes,
        links=tuple(links),
    )


def _facts(run: FailedRun, settings: Settings) -> RunFacts:
    from feature_store.database.session import open_session
    from feature_store.reporting.mail.run_facts import read_facts
    from feature_store.reporting.mail.short_cause import cause_of

    patient = min(_PATIENCE, settings.statement_timeout or _PATIENCE)
    hurried = replace(
        settings,
        statement_timeout=patient,
        lock_timeout=min(_PATIENCE, settings.lock_timeout),
    )
    try:
        with open_session(hurried, "mail") as connection:
            return read_facts(run, connection)
    except Exception as problem:
        why_not = cause_of(problem)
        log.warning("The failure mail goes without the store's audit tables: %s", _hide(why_not))
        return read_facts(run, None, why_not)


def _as_of_day(context: Context, settings: Settings) -> date | None:
    from feature_store.as_of_day import as_of_day
    from feature_store.errors import BadInput

    run = context["dag_run"]
    try:
        return as_of_day(
            logical_date=run.logical_date,
            run_after=run.run_after,
            zone=settings.zone,
            override=context["params"].get("as_of_day"),
        )
    except BadInput:
        return None  # what the run failed of, most likely


def _links(ti: Any, settings: Settings) -> list[tuple[str, str]]:
    if not settings.links_base:
        return [("Log", ti.log_url)]
    page = f"{settings.links_base.rstrip('/')}/dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id)}"
    return [("Run", page), ("Log", f"{page}/tasks/{quote(ti.task_id)}")]


def _message(mail: Mail, sender: str, recipients: str) -> EmailMessage:
    # Python folds a long plain subject into an empty first line; so it is not folded. One with
    # other than ASCII letters must be, as encoded words may not be long.
    message = EmailMessage(SMTP.clone(max_line_length=998) if mail.subject.isascii() else SMTP)
    message["Subject"] = mail.subject
    message["From"] = sender
    message["To"] = ", ".join(formataddr(pair) for pair in getaddresses([recipients]))
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("> "))
    message["Auto-Submitted"] = "auto-generated"  # so that no holiday notice answers
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _reason(problem: Exception) -> str:
    reason = " ".join(f"{type(problem).__name__}: {problem}".split())
    if isinstance(problem, ssl.SSLError | smtplib.SMTPNotSupportedError):
        # The hook wants TLS from the first byte and STARTTLS on top unless told otherwise.
        reason += " (the connection's extra decides on TLS: disable_ssl, disable_tls)"
    return reason


def _server(hook: SmtpHook, settings: Settings) -> str:
    if hook.smtp_connection is None:
        return f"the Airflow connection {settings.smtp_conn_id!r}"
    return f"{hook.host}:{hook.port} (Airflow connection {settings.smtp_conn_id!r})"


def _mask(conn_id: str) -> None:
    """Make Airflow know a connection's secrets, so that `_hide` finds them."""
    from airflow.sdk import BaseHook
    from airflow.sdk.log import mask_secret

    try:
        connection = BaseHook.get_connection(conn_id)
        mask_secret(connection.password)
        mask_secret(connection.extra_dejson)
    except Exception:
        log.debug("The connection %r has no secrets to hide.", conn_id)


def _hide(text: str) -> str:
    from airflow.sdk.log import redact  # type: ignore[attr-defined]  # imported there, not exported

    return str(redact(text))
