"""Hands one mail to the mail server: once, within a time limit, and knows how far it came.

If the server says "not now" (greylisting, a filter that is down), it has not taken the mail, and it
is asked again while there is time. After anything else it is not: a server that took the mail and
then lost the connection would send it twice.
"""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, getaddresses, make_msgid
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from feature_store.reporting.mail.time_limit import within
from feature_store.reporting.secrets import hide

if TYPE_CHECKING:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    from feature_store.reporting.mail.compose import Mail
    from feature_store.settings import Settings

log = logging.getLogger(__name__)


class DeliveryState(Enum):
    """What is known of a mail after its server has been given time."""

    SENT = "sent"
    NOT_SENT = "not sent"
    NOT_WANTED = "told already, or left to another attempt"
    UNKNOWN = "may or may not have been sent"


@dataclass(frozen=True)
class Delivery:
    """What became of a mail.

    Attributes:
        state: whether it was sent.
        problem: why not, or why nobody knows, in one line without secrets; empty if it was.
        through: the server, in words.
    """

    state: DeliveryState
    problem: str
    through: str


class GivenUp(Exception):  # nobody's error
    """The mail must not be sent any more."""


class Handover(Protocol):
    """A mail or a notice on its way, and how far it has come."""

    state: DeliveryState

    @property
    def through(self) -> str:
        """The server or the connection, in words."""

    def run(self) -> None:
        """Send it."""

    def give_up(self) -> None:
        """Stop waiting. What is not yet being sent will not be."""


def deliver(mail: Mail, settings: Settings, about_to: Callable[[], bool]) -> Delivery:
    """Send a mail through the Airflow connection of `Settings.smtp_conn_id`.

    Args:
        mail: to send.
        settings: sender, recipients, and how long it may take in all.
        about_to: called when the server has taken sender and recipients and only the mail itself
            is left. If it returns False, the mail is not sent.
    """
    return hand_over(_Handover(mail, settings, about_to), settings.mail_timeout)


def hand_over(handover: Handover, seconds: float) -> Delivery:
    """Hand a mail or a notice over within so many seconds.

    What has not begun to be sent by then will not be.
    """
    problem = ""
    try:
        within(seconds, handover.run)
    except Exception as error:
        problem = hide(reason(error))
        handover.give_up()
    except BaseException:  # the task is stopped: nothing may be sent behind its back
        handover.give_up()
        raise
    state = handover.state  # once: a thread that nobody waits for may still change it
    return Delivery(state, "" if state is DeliveryState.SENT else problem, handover.through)


class _Handover:
    """One mail on its way, and how far it has come."""

    def __init__(self, mail: Mail, settings: Settings, about_to: Callable[[], bool]) -> None:
        self.state = DeliveryState.NOT_SENT
        self._mail, self._settings, self._about_to = mail, settings, about_to
        self._hook: SmtpHook | None = None
        # Held from checking `_given_up` until what depends on it is done.
        self._step = threading.Lock()
        self._given_up = False
        self._over = threading.Event()
        self._begun = False
        self._message: EmailMessage | None = None

    @property
    def through(self) -> str:
        """The server, in words."""
        name = f"Airflow connection {self._settings.smtp_conn_id!r}"
        hook = self._hook
        if hook is None or hook.smtp_connection is None:
            return f"the {name}"
        return f"{hook.host}:{hook.port} ({name})"

    def run(self) -> None:
        """Send it; if the server refuses it for now, again after a while."""
        limit = self._settings.mail_timeout
        pause = min(_LONGEST_PAUSE, limit / 4)
        last_pause = time.monotonic() + limit - 2 * pause
        while True:
            try:
                return self._send()
            except smtplib.SMTPException as refusal:
                untaken = self.state is DeliveryState.NOT_SENT and _is_for_now(refusal)
                if not untaken or time.monotonic() > last_pause:
                    raise
                log.info("The mail is not taken now, and tried again: %s", hide(reason(refusal)))
            if self._over.wait(pause):
                raise GivenUp("it is left to another attempt")

    def _send(self) -> None:
        """Connect, log in, send."""
        # Slow to import, and most runs send no mail.
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        self._hook = hook = SmtpHook(self._settings.smtp_conn_id)
        with hook:
            client: Any = hook._smtp_client
            self._watch_for_the_mail_itself(client)
            sender = self._settings.mail_from or hook.from_email or hook.smtp_user
            # One message, however often it is tried: whoever got it twice would see one.
            self._message = self._message or _message(self._mail, sender, self._settings.mail_to)
            _send(client, self._message, self._mail.subject)

    def give_up(self) -> None:
        """Stop waiting. A mail that is not yet being sent will not be."""
        with self._step:
            self._given_up = True
        self._over.set()
        with suppress(Exception):  # the connection may not be open yet, or be closed already
            client: Any = self._hook and self._hook._smtp_client
            client.sock.shutdown(socket.SHUT_RDWR)

    def _watch_for_the_mail_itself(self, client: Any) -> None:
        """Note when the mail itself is handed over: a connection lost after that proves nothing."""
        data = client.data

        def watched(message: Any) -> Any:
            with self._step:
                if self._given_up:
                    raise GivenUp("it is left to another attempt")
                self._begun = self._begun or self._about_to()
                if not self._begun:
                    self.state = DeliveryState.NOT_WANTED
                    raise GivenUp(self.state.value)
                self.state = DeliveryState.UNKNOWN
            try:
                answer = data(message)
            except smtplib.SMTPDataError:  # the server refused it
                self.state = DeliveryState.NOT_SENT
                raise
            self.state = DeliveryState.SENT if answer[0] == _TAKEN else DeliveryState.NOT_SENT
            return answer

        client.data = watched


_TAKEN = 250
_LONGEST_PAUSE = 60


def _is_for_now(refusal: smtplib.SMTPException) -> bool:
    """Whether a server may take later what it refuses: its answer begins with a 4."""
    codes = [getattr(refusal, "smtp_code", 0)]
    if isinstance(refusal, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in refusal.recipients.values()]
    return any(400 <= code < 500 for code in codes)


def _send(client: Any, message: EmailMessage, subject: str) -> None:
    refused = client.send_message(message)
    if refused:
        # The other recipients have it and must not get it twice.
        log.error("The mail %r was refused for %s", subject, hide(str(refused)))


def _message(mail: Mail, sender: str, recipients: str) -> EmailMessage:
    if "@" not in sender:
        raise ValueError(
            "there is no sender; set FEATURE_STORE_MAIL_FROM, or from_email in the connection"
        )
    # Python folds a long ASCII subject into an empty first line, so do not fold it. Other subjects
    # must be folded, because encoded words have a length limit.
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


def reason(problem: Exception) -> str:
    """Why something did not work, in one line."""
    words = " ".join(f"{type(problem).__name__}: {problem}".split())
    if isinstance(problem, ssl.SSLError | smtplib.SMTPNotSupportedError):
        # By default the hook wants TLS from the first byte, and STARTTLS as well.
        words += " (the connection's extra decides on TLS: disable_ssl, disable_tls)"
    return words
