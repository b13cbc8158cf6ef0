"""Several sessions that share out work: reading checks, of which none waits for another.

One check keeps one core of the server busy, and most servers have more.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress

import psycopg

from feature_store.connection import Connection

log = logging.getLogger(__name__)

_CANCEL_SECONDS = 5
# A statement may begin just after the others were told to stop.
_ASK_AGAIN_AFTER = 0.5
# A server that is frozen neither ends a statement nor answers who asks it to.
_ENDS_WITHIN = 30

Job = Callable[[Connection], object]
"""Work that one session does."""


def side_by_side(jobs: Iterable[Job], sessions: Sequence[Connection]) -> None:
    """Do each job once, on whichever session is free, in the order given.

    If a job fails, or this thread is interrupted, the others' statements are cancelled, no further
    job begins, and the first error is raised after all have ended.

    Args:
        jobs: in the order in which they begin.
        sessions: one thread works on each, and nothing else does until the end.
    """
    waiting = deque(jobs)

    def work(session: Connection) -> None:
        while waiting:
            try:
                job = waiting.popleft()
            except IndexError:  # another session has taken the last one
                return
            job(session)

    with ThreadPoolExecutor(len(sessions)) as pool:
        working = [pool.submit(work, session) for session in sessions]
        try:
            for done in wait(working, return_when=FIRST_EXCEPTION).done:
                done.result()
        except BaseException:
            waiting.clear()
            _stop(working, sessions)
            raise


def _stop(working: Sequence[Future[None]], sessions: Sequence[Connection]) -> None:
    """Cancel what the sessions do until every thread has ended; in the end, cut them off."""
    until = time.monotonic() + _ENDS_WITHIN
    while wait(working, timeout=_ASK_AGAIN_AFTER).not_done:
        for session in sessions:
            if time.monotonic() > until:
                _cut_off(session)
                continue
            try:
                if not session.closed:
                    session.cancel_safe(timeout=_CANCEL_SECONDS)
            except psycopg.Error as error:
                log.warning("The server could not be asked to stop: %s", str(error).strip())


def _cut_off(session: Connection) -> None:
    """End a session's connection, so that the thread that waits for its answer has an error."""
    with (
        suppress(psycopg.Error, OSError),  # it may have ended meanwhile
        socket.socket(fileno=os.dup(session.fileno())) as connection,
    ):
        connection.shutdown(socket.SHUT_RDWR)
