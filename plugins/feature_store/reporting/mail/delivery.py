"""Handing one mail to the mail server: once, within a bound, and knowing how far it came.

It is not tried again here: a server that took the mail and then lost the connection would send it
twice.
"""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, getaddresses, make_msgid
from enum import Enum
from typing import TYPE_CHECKING, Any

from feature_store.reporting.mail.patience import within
from feature_store.reporting.mail.secrets import hide

if TYPE_CHECKING:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    from feature_store.reporting.mail.compose import Mail
    from feature_store.settings import Settings

log = logging.getLogger(__name__)


class DeliveryState(Enum):
    """What is known of a mail after its server has been given time."""

    SENT = "sent"
    NOT_SENT = "not sent"
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


class GivenUp(Exception):  # no error of anybody's
    """The mail is not to be sent any more."""


def deliver(mail: Mail, settings: Settings, about_to: Callable[[], bool]) -> Delivery:
    """Send a mail through the Airflow connection of `Settings.smtp_conn_id`.

    Args:
        mail: to send.
        settings: sender, recipients, and how long it may take in all.
        about_to: called when the server has taken sender and recipients, so that nothing but the
            mail itself is left; if it says False, the mail is not sent.
    """
    handover = _Handover(mail, settings, about_to)
    problem = ""
    try:
        within(settings.mail_timeout, handover.run)
    except Exception as error:
        problem = hide(reason(error))
        handover.give_up()
    state = handover.state
    return Delivery(state, "" if state is DeliveryState.SENT else problem, handover.through)


class _Handover:
    """One mail on its way, and how far it has come."""

    def __init__(self, mail: Mail, settings: Settings, about_to: Callable[[], bool]) -> None:
        self.state = DeliveryState.NOT_SENT
        self._mail, self._settings, self._about_to = mail, settings, about_to
        self._hook: SmtpHook | None = None
        # Between the look whether it was given up, and what is done because it was not.
        self._step = threading.Lock()
        self._given_up = False

    @property
    def through(self) -> str:
        """The server, in words."""
        name = f"Airflow connection {self._settings.smtp_conn_id!r}"
        hook = self._hook
        if hook is None or hook.smtp_connection is None:
            return f"the {name}"
        return f"{hook.host}:{hook.port} ({name})"

    def run(self) -> None:
        """Connect, log in, send."""
        # Slow to import, and most runs send no mail.
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        self._hook = hook = SmtpHook(self._settings.smtp_conn_id)
        with hook:
            client: Any = hook._smtp_client
            self._watch_for_the_mail_itself(client)
            sender = self._settings.mail_from or hook.from_email or hook.smtp_user
            _send(client, self._mail, sender, self._settings.mail_to)

    def give_up(self) -> None:
        """Nobody waits any longer: what has not begun to be sent will not be."""
        with self._step:
            self._given_up = True
        with suppress(Exception):  # it may be anywhere between no connection and a closed one
            client: Any = self._hook and self._hook._smtp_client
            client.sock.shutdown(socket.SHUT_RDWR)

    def _watch_for_the_mail_itself(self, client: Any) -> None:
        """Up to here a broken connection means that no mail was sent; from here on it does not."""
        data = client.data

        def watched(message: Any) -> Any:
            with self._step:
                if self._given_up or not self._about_to():
                    raise GivenUp("it was left to another try")
                self.state = DeliveryState.UNKNOWN
            try:
                answer = data(message)
            except smtplib.SMTPDataError:  # it did not want to have it
                self.state = DeliveryState.NOT_SENT
                raise
            self.state = DeliveryState.SENT if answer[0] == _TAKEN else DeliveryState.NOT_SENT
            return answer

        client.data = watched


_TAKEN = 250


def _send(client: Any, mail: Mail, sender: str, recipients: str) -> None:
    if "@" not in sender:
        raise ValueError(
            "there is no sender; set FEATURE_STORE_MAIL_FROM, or from_email in the connection"
        )
    refused = client.send_message(_message(mail, sender, recipients))
    if refused:
        # The others have it, and must not get it again.
        log.error("The mail %r was refused for %s", mail.subject, hide(str(refused)))


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


def reason(problem: Exception) -> str:
    """Why something did not work, in one line."""
    words = " ".join(f"{type(problem).__name__}: {problem}".split())
    if isinstance(problem, ssl.SSLError | smtplib.SMTPNotSupportedError):
        # The hook wants TLS from the first byte and STARTTLS on top unless told otherwise.
        words += " (the connection's extra decides on TLS: disable_ssl, disable_tls)"
    return words
