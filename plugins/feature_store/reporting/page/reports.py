"""Reports as the page serves them: drawn one at a time, outside any session, and kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from anyio import CapacityLimiter, to_thread
from cachetools import LRUCache
from psycopg import Connection

from feature_store.declarations.leak_rules import DeclaredException
from feature_store.reporting.page.problems import Busy
from feature_store.reporting.page.runs import read_facts
from feature_store.reporting.page.store_files import Files
from feature_store.reporting.run.facts import RunRecord
from feature_store.settings import Settings

KEPT_BYTES = 32 * 2**20
_WAITING = 16

Drawable = tuple[RunRecord, tuple[DeclaredException, ...], tuple[str, ...]]
"""All that a report is drawn from."""


def draw(drawable: Drawable) -> bytes:
    """The report as a file of HTML."""
    from feature_store.reporting.report.render import render_report  # few requests need it

    return render_report(*drawable).encode()


class Reports:
    """The reports that one process of the API server has drawn.

    The same facts give the same report, so it is kept by its facts: what a later try of the run, or
    a person, changes in them is drawn anew, and nothing must be told that it is out of date. They
    are drawn one at a time, so that a crowd that asks for reports slows nothing else down.
    """

    def __init__(
        self,
        draw: Callable[[Drawable], bytes] = draw,
        *,
        kept_bytes: int = KEPT_BYTES,
        waiting: int = _WAITING,
    ) -> None:
        """Begin with none.

        Args:
            draw: makes one, in a thread.
            kept_bytes: how much is kept of those that were asked for last.
            waiting: how many one user may have asked for that are not drawn yet.
        """
        self._draw = draw
        self._kept: LRUCache[bytes, bytes] = LRUCache(kept_bytes, getsizeof=len)
        self._drawing: dict[bytes, tuple[str, asyncio.Task[bytes]]] = {}
        self._waiting = waiting
        self._one = CapacityLimiter(1)

    async def get(self, user: BaseUser, drawable: Drawable) -> bytes:
        """The report of these facts: as it is kept, as it is just being drawn, or drawn now.

        Raises:
            Busy: too many others that this user has asked for wait to be drawn.
        """
        key = hashlib.sha256(repr(drawable).encode()).digest()
        if key in self._kept:
            return self._kept[key]
        if key not in self._drawing:
            who = user.get_id()
            if sum(first == who for first, _ in self._drawing.values()) >= self._waiting:
                raise Busy("Too many of your reports are being prepared at this moment.")
            self._drawing[key] = who, asyncio.create_task(self._drawn(key, drawable))
        # Others may wait for it, too, when whoever asked first has gone.
        return await asyncio.shield(self._drawing[key][1])

    async def _drawn(self, key: bytes, drawable: Drawable) -> bytes:
        try:
            report = await to_thread.run_sync(self._draw, drawable, limiter=self._one)
        finally:
            del self._drawing[key]
        if len(report) <= self._kept.maxsize:
            self._kept[key] = report
        return report


def drawable(dag_id: str, run_id: str) -> Callable[[Connection[Any], Settings, Files], Drawable]:
    """What reads all that the report of a run is drawn from.

    Raises:
        NotFound: the run is not recorded.
    """
    return lambda connection, _, files: (
        read_facts(connection, dag_id, run_id),
        files.exceptions,
        files.suites,
    )
