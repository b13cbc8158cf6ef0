"""Read-only sessions: one per request, few at once, each released before the answer is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from anyio import CapacityLimiter, move_on_after, to_thread
from psycopg import IsolationLevel
from pydantic import BaseModel

from feature_store.connection import Connection
from feature_store.database.session import connect
from feature_store.reporting.page.problems import Busy
from feature_store.reporting.page.stores import asked_store
from feature_store.reporting.store.store_files import Files, read_files
from feature_store.settings import Settings
from feature_store.store_address import addressed, is_as_told

SESSIONS = 8
STATEMENT_SECONDS = 10
_CONNECT_SECONDS = 5
_LOCK_SECONDS = 2
_PATIENCE = 10
_WAITING = 50

Answer = TypeVar("Answer")


class Sessions:
    """The page's sessions in one process of the API server.

    The server answers all of Airflow with one set of threads. So the page reads in its own threads,
    one per session, and waiting for a session needs no thread. One user gets at most half of the
    sessions.
    """

    def __init__(
        self, most: int = SESSIONS, patience: float = _PATIENCE, waiting: int = _WAITING
    ) -> None:
        """Prepare them.

        Args:
            most: the most sessions at once.
            patience: seconds that a request waits for a session.
            waiting: how many requests of one user may wait at once.
        """
        self._places = CapacityLimiter(most)
        self._of_one = max(most // 2, 1)
        self._of_user: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()
        self._patience = patience
        self._waiting = waiting

    async def ask(
        self, user: BaseUser, read: Callable[[Connection, Settings, Files], Answer]
    ) -> Answer:
        """Read something in a session for a user, then release the session.

        Raises:
            Busy: there are too many other requests.
            BadInput: Airflow does not know the connection, or a file of the store cannot be used.
            CannotConnect: the server cannot be reached or refuses the login.
        """

        def read_in_session() -> Answer:
            settings = asked_store().settings
            files = read_files(settings.include_dir)
            with read_only(settings) as connection:
                return _of_its_store(read(connection, settings, files), settings)

        own = self._of_user.setdefault(user.get_id(), CapacityLimiter(self._of_one))
        if own.statistics().tasks_waiting < self._waiting:
            with move_on_after(self._patience) as waiting:
                async with own, self._places:
                    waiting.deadline = math.inf  # a read that has begun is not interrupted
                    return await to_thread.run_sync(read_in_session, limiter=CapacityLimiter(1))
        raise Busy("Too many people ask for the feature store's record at this moment.")


def _of_its_store(answer: Answer, settings: Settings) -> Answer:
    """An answer whose commands reach the store that it is about."""
    if not isinstance(answer, BaseModel) or is_as_told(settings):
        return answer
    change = addressed(settings)

    def changed(told: Any) -> Any:
        if isinstance(told, str):
            return change(told)
        if isinstance(told, dict):
            return {name: changed(value) for name, value in told.items()}
        return [changed(value) for value in told] if isinstance(told, list | tuple) else told

    return type(answer).model_validate(changed(answer.model_dump()))


@contextmanager
def read_only(settings: Settings) -> Iterator[Connection]:
    """Open a read-only session in one transaction that sees one state of the store.

    Args:
        settings: names the Airflow connection.

    Raises:
        BadInput: Airflow does not know the connection.
        CannotConnect: the server cannot be reached or refuses the login.
    """
    short = replace(
        settings,
        statement_timeout=STATEMENT_SECONDS,
        lock_timeout=_LOCK_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
    )
    with closing(connect(short, "page")) as connection:
        connection.execute("SET default_transaction_read_only = on")
        connection.read_only = True
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield connection
