"""The ways to tell people: a mail, and also a notice. Each tells once, by its record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_store.reporting.mail.delivery import Delivery, deliver
from feature_store.reporting.mail.notice import deliver_notice
from feature_store.reporting.secrets import know_all_secrets

if TYPE_CHECKING:
    from feature_store.reporting.mail.compose import Mail
    from feature_store.reporting.mail.mail_record import Mailed
    from feature_store.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Channel:
    """One way to tell people.

    Attributes:
        name: ``mail`` or ``notice``.
        to: who is told, in words for the log.
        deliver: sends the message.
    """

    name: str
    to: str
    deliver: Callable[[Mail, Settings, Callable[[], bool]], Delivery]

    def kind(self, of: str) -> str:
        """What the record calls a message of this channel about a ``failure``, say."""
        return of if self.name == "mail" else f"{of} {self.name}"

    def has_enough(self, known: Mailed) -> bool:
        """Whether nothing more may be sent. A doubtful mail goes out once more, and says so."""
        return known.enough or (self.name != "mail" and known.doubtful > 0)

    @property
    def mark(self) -> str:
        """The XCom key under which the verdict's task notes its progress without the record."""
        return "mailed" if self.name == "mail" else "noticed"


def channels(settings: Settings) -> list[Channel]:
    """The channels that are set."""
    found = []
    if settings.mail_to:
        found.append(Channel("mail", settings.mail_to, deliver))
    if settings.notify_conn_id:
        to = f"the connection {settings.notify_conn_id!r}"
        found.append(Channel("notice", to, deliver_notice))
    return found


def to_be_told(what: str, read: Callable[[], Settings]) -> Settings | None:
    """The settings, if there is anybody to tell; their connections' secrets are then known."""
    settings = read()
    if not channels(settings):
        log.info(
            "No %s: FEATURE_STORE_MAIL_TO names nobody, and FEATURE_STORE_NOTIFY_CONN_ID no "
            "connection.",
            what,
        )
        return None
    know_all_secrets(settings)
    return settings
