"""Keeps secrets out of mails, and out of what the log says about them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret, redact  # type: ignore[attr-defined]  # not exported there

if TYPE_CHECKING:
    from feature_store.settings import Settings

log = logging.getLogger(__name__)


def know_secrets(conn_id: str) -> None:
    """Make Airflow know a connection's secrets, so that `hide` finds them."""
    try:
        connection = BaseHook.get_connection(conn_id)
        mask_secret(connection.password)
        mask_secret(connection.extra_dejson)
    except Exception:
        log.debug("The connection %r has no secrets to hide.", conn_id)


def know_all_secrets(settings: Settings) -> None:
    """The same for every connection that a message may name."""
    for conn_id in (settings.conn_id, settings.smtp_conn_id, settings.notify_conn_id):
        if conn_id:
            know_secrets(conn_id)


def hide(text: str) -> str:
    """A text without the secrets that Airflow knows."""
    return str(redact(text))
