"""Hands one notice to a chat or a webhook: once, within a time limit. Its address stays secret.

The type of one Airflow connection decides how: ``http`` is a webhook that takes ``{"text": …}``
(Slack, Mattermost, Google Chat and others do), ``slackwebhook`` and ``apprise`` go through
Airflow's providers of these names, if they are installed. It is not tried again here.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable
from http.client import InvalidURL
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

from airflow.sdk import BaseHook, Connection
from airflow.sdk.log import mask_secret

from feature_store.reporting.mail.delivery import Delivery, DeliveryState, GivenUp, hand_over
from feature_store.reporting.secrets import know_secrets

if TYPE_CHECKING:
    from feature_store.reporting.mail.compose import Mail
    from feature_store.settings import Settings

_MOST_LINES, _MOST_CHARACTERS = 10, 1_500
_SCHEMES = ("http", "https")


class Refused(Exception):  # no error of anybody's
    """The receiver did not want it, or cannot be asked: it has nothing."""


def deliver_notice(mail: Mail, settings: Settings, about_to: Callable[[], bool]) -> Delivery:
    """Send what a mail says first through the connection of `Settings.notify_conn_id`.

    Args:
        mail: of which its subject, its first lines and its link are sent.
        settings: names the connection, and how long it may take in all.
        about_to: called before the receiver is asked; if it says False, nothing is sent.
    """
    return hand_over(_Handover(mail, settings.notify_conn_id, about_to), settings.mail_timeout)


def short_text(mail: Mail) -> str:
    """A mail's subject, its first lines and the run's address; half a command would be none."""
    lines = [line for line in mail.text.splitlines() if line.strip()]
    shown = [mail.subject, ""]
    for line in lines[1 : 1 + _MOST_LINES]:  # the first is the subject
        if len("\n".join([*shown, line, mail.link])) > _MOST_CHARACTERS:
            break
        shown.append(line)
    return "\n".join([*shown, mail.link]).rstrip()


class _Handover:
    """One notice on its way, and how far it has come."""

    def __init__(self, mail: Mail, conn_id: str, about_to: Callable[[], bool]) -> None:
        self.state = DeliveryState.NOT_SENT
        self._text, self._conn_id, self._about_to = short_text(mail), conn_id, about_to
        self._step = threading.Lock()
        self._given_up = False

    @property
    def through(self) -> str:
        """The connection, in words."""
        return f"the Airflow connection {self._conn_id!r}"

    def run(self) -> None:
        """Look the connection up, then send."""
        know_secrets(self._conn_id)
        connection = BaseHook.get_connection(self._conn_id)
        send = _sender(connection, self._text)
        with self._step:
            if self._given_up:
                raise GivenUp("it is left to another attempt")
            if not self._about_to():
                self.state = DeliveryState.NOT_WANTED
                raise GivenUp(self.state.value)
            self.state = DeliveryState.UNKNOWN
        try:
            send()
        except Refused:
            self.state = DeliveryState.NOT_SENT
            raise
        self.state = DeliveryState.SENT

    def give_up(self) -> None:
        """Nobody waits any longer: what has not begun to be sent will not be."""
        with self._step:
            self._given_up = True


def _sender(connection: Connection, text: str) -> Callable[[], None]:
    senders = {"http": _webhook, "slackwebhook": _slack, "apprise": _apprise}
    if connection.conn_type not in senders:
        raise ValueError(f"its type is {connection.conn_type!r}; expected {', '.join(senders)}")
    try:
        return senders[connection.conn_type](connection, text)
    except ImportError as error:
        raise ValueError(
            f"its type is {connection.conn_type!r}, whose provider cannot be imported ({error}); "
            f"pip install apache-airflow-providers-{connection.conn_type.removesuffix('webhook')}"
        ) from error


def _webhook(connection: Connection, text: str) -> Callable[[], None]:
    headers = {"Content-Type": "application/json"}
    if connection.password:
        headers["Authorization"] = f"Bearer {connection.password}"
    request = urllib.request.Request(  # noqa: S310  # `_address` takes the web's schemes alone
        _address(connection), json.dumps({"text": text}).encode(), headers, method="POST"
    )
    opener = urllib.request.build_opener(_NoRedirects)

    def send() -> None:
        try:
            opener.open(request).close()
        except HTTPError as error:
            raise Refused(f"it answered {error.code}") from None
        except URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise
            # Nothing was sent. The address is left out: it may be the secret.
            raise Refused(f"it cannot be reached: {error.reason}") from None
        except (InvalidURL, ValueError):
            # Raised before anything is sent. The words are left out: they quote address or token.
            raise Refused(
                "its host, endpoint or password has characters that no request can carry"
            ) from None

    return send


def _address(connection: Connection) -> str:
    """Where a webhook is: host, port and schema, and the ``endpoint`` of the extra."""
    host = connection.host or ""
    scheme, _, rest = host.rpartition("://")
    scheme = scheme or connection.schema or "https"
    if not rest or scheme not in _SCHEMES:
        raise ValueError("it has no host, or its schema is neither http nor https")
    port = f":{connection.port}" if connection.port else ""
    endpoint = str(connection.extra_dejson.get("endpoint", "")).strip("/")
    for secret in (endpoint, rest):
        if secret:
            mask_secret(secret)
    return f"{scheme}://{rest.rstrip('/')}{port}/{endpoint}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Sends the message to the given address only."""

    def redirect_request(self, *_: Any) -> None:
        """Treat a redirect as a refusal."""


def _slack(connection: Connection, text: str) -> Callable[[], None]:
    # An extra, which may not be installed.
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    notifier = SlackWebhookNotifier(
        slack_webhook_conn_id=connection.conn_id, text=text, retry_handlers=[]
    )
    # Calling the notifier would render the text, which may come from data, as a template.
    return lambda: notifier.notify({})


def _apprise(connection: Connection, text: str) -> Callable[[], None]:
    # An extra, which may not be installed.
    import apprise
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    target = apprise.Apprise()
    AppriseHook(connection.conn_id).set_config_from_conn(connection, target)
    title, _, body = text.partition("\n\n")

    def send() -> None:
        # The hook's own `notify` does not say whether it was sent.
        if not target.notify(body=body, title=title):
            raise Refused("apprise could not send it to every service, see its log")

    return send
