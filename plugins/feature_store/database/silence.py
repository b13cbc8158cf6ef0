"""A connection that falls silent: a cable, a NAT or a paused machine, and nobody is told.

Left to itself, TCP gives up after 15 minutes where data are under way and after two hours where
none are, and the server keeps every lock until then. So both ends look after each other: who has
heard nothing for `Settings.silence_timeout` is asked, and then given up. Both ends of a Unix socket
are on one machine, and leave all this out, as does a platform that has not got it.
"""

from __future__ import annotations

from feature_store.settings import Settings

# How often a silent end is asked within the timeout, and by when it must have answered.
_QUESTIONS = 2


def client_options(settings: Settings) -> dict[str, int]:
    """The options of libpq for a session, where the Airflow connection does not say itself."""
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
        # A client that lives and says nothing, such as a paused process.
        "idle_in_transaction_session_timeout": f"{settings.idle_transaction_timeout}s",
    }


def _pause(settings: Settings) -> int:
    return settings.silence_timeout // (_QUESTIONS + 1)
