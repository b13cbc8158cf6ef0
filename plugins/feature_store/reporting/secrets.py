"""Keeps secrets out of mails, and out of what the log says about them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
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
    except AirflowNotFoundException:
        log.debug("There is no connection %r, so it has no secrets to hide.", conn_id)
    except Exception as error:
        log.warning("The secrets of the connection %r are not known: %s", conn_id, error)


def know_all_secrets(settings: Settings) -> None:
    """The same for every connection that a message may name."""
    for conn_id in (settings.conn_id, settings.smtp_conn_id, settings.notify_conn_id):
        if conn_id:
            know_secrets(conn_id)


def hide(text: str) -> str:
    """A text without the secrets that Airflow knows."""
    return str(redact(text))
