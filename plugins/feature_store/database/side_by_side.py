"""Several sessions that share out work: reading checks, of which none waits for another.

One check keeps one core of the server busy, and most servers have more.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import psycopg

from feature_store.connection import Connection

log = logging.getLogger(__name__)

_CANCEL_SECONDS = 5
# A statement may begin just after the others were told to stop.
_ASK_AGAIN_AFTER = 0.5

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
    """Cancel what the sessions do until every thread has ended."""
    while wait(working, timeout=_ASK_AGAIN_AFTER).not_done:
        for session in sessions:
            try:
                if not session.closed:
                    session.cancel_safe(timeout=_CANCEL_SECONDS)
            except psycopg.Error as error:
                log.warning("The server could not be asked to stop: %s", str(error).strip())
