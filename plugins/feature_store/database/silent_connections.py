"""Connections that fall silent, because of a cable, a NAT or a paused machine.

By default, TCP gives up after 15 minutes if data is being sent and after two hours if not, and the
server keeps every lock until then. So each end checks the other: after `Settings.silence_timeout`
without a word it asks, and then gives up. Unix sockets, whose ends are on one machine, do without
this, and so do platforms that do not support it.
"""

from __future__ import annotations

from feature_store.settings import Settings

# How often a silent end is asked within the timeout, and by when it must have answered.
_QUESTIONS = 2


def client_options(settings: Settings) -> dict[str, int]:
    """The options of libpq for a session, unless the Airflow connection sets them."""
    return {
        "connect_timeout": settings.connect_timeout,
        "keepalives": 1,
        "keepalives_idle": _pause(settings),
        "keepalives_interval": _pause(settings),
        "keepalives_count": _QUESTIONS,
        "tcp_user_timeout": settings.silence_timeout * 1000,
    }


def server_settings(settings: Settings) -> dict[str, str]:
    """The settings of PostgreSQL for such a session, for its own end of the connection."""
    return {
        "tcp_keepalives_idle": f"{_pause(settings)}s",
        "tcp_keepalives_interval": f"{_pause(settings)}s",
        "tcp_keepalives_count": f"{_QUESTIONS}",
        "tcp_user_timeout": f"{settings.silence_timeout}s",
        # A client that is alive but silent, such as a paused process.
        "idle_in_transaction_session_timeout": f"{settings.idle_transaction_timeout}s",
    }


def _pause(settings: Settings) -> int:
    return settings.silence_timeout // (_QUESTIONS + 1)
