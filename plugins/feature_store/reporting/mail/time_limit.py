"""Waits for something, but no longer than a given time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_Done = TypeVar("_Done")


def within(seconds: float, work: Callable[[], _Done]) -> _Done:
    """Do something in a thread of its own, and wait for it at most that long.

    A mail server's timeouts do not limit the total, because each answer may be slow. After the
    time limit the thread is left alone; it does not keep the process from ending.

    Raises:
        TimeoutError: it took longer.
        Exception: whatever the work raised.
    """
    done: list[_Done] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="feature-store-mail", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"it took longer than {seconds:g} seconds")
    return done[0]
