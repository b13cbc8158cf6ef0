"""Reports for the page: rendered one at a time, outside any session, and cached."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from anyio import CapacityLimiter, to_thread
from cachetools import LRUCache

from feature_store.connection import Connection
from feature_store.declarations.declared_exceptions import DeclaredException
from feature_store.reporting.page.problems import Busy
from feature_store.reporting.page.runs import read_facts
from feature_store.reporting.run.facts import RunRecord
from feature_store.reporting.store.store_files import Files
from feature_store.settings import Settings

KEPT_BYTES = 32 * 2**20
_WAITING = 16

Drawable = tuple[RunRecord, tuple[DeclaredException, ...], tuple[str, ...]]
"""Everything that a report is rendered from."""


def draw(drawable: Drawable) -> bytes:
    """The report as a file of HTML."""
    # Few requests need it.
    from feature_store.reporting.report.render import render_report

    return render_report(*drawable).encode()


class Reports:
    """The reports that one process of the API server has rendered.

    The same facts give the same report, so the facts are the cache's key: if a later try of the
    run, or a person, changes them, the report is rendered again. Reports are rendered one at a
    time, so that many requests for reports do not slow down anything else.
    """

    def __init__(
        self,
        draw: Callable[[Drawable], bytes] = draw,
        *,
        kept_bytes: int = KEPT_BYTES,
        waiting: int = _WAITING,
    ) -> None:
        """Start with an empty cache.

        Args:
            draw: renders one, in a thread.
            kept_bytes: the size of the cache; the latest reports are kept.
            waiting: how many unrendered reports one user may wait for.
        """
        self._draw = draw
        self._kept: LRUCache[bytes, bytes] = LRUCache(kept_bytes, getsizeof=len)
        self._drawing: dict[bytes, tuple[str, asyncio.Task[bytes]]] = {}
        self._waiting = waiting
        self._one = CapacityLimiter(1)

    async def get(self, user: BaseUser, drawable: Drawable) -> bytes:
        """The report of these facts: cached, being rendered already, or rendered now.

        Raises:
            Busy: too many other reports for this user wait to be rendered.
        """
        key = hashlib.sha256(repr(drawable).encode()).digest()
        if key in self._kept:
            return self._kept[key]
        if key not in self._drawing:
            who = user.get_id()
            if sum(first == who for first, _ in self._drawing.values()) >= self._waiting:
                raise Busy("Too many of your reports are being prepared at this moment.")
            self._drawing[key] = who, asyncio.create_task(self._drawn(key, drawable))
        # Others may wait for it even if the first user has gone.
        return await asyncio.shield(self._drawing[key][1])

    async def _drawn(self, key: bytes, drawable: Drawable) -> bytes:
        try:
            report = await to_thread.run_sync(self._draw, drawable, limiter=self._one)
        finally:
            del self._drawing[key]
        if len(report) <= self._kept.maxsize:
            self._kept[key] = report
        return report


def drawable(dag_id: str, run_id: str) -> Callable[[Connection, Settings, Files], Drawable]:
    """A function that reads everything that the report of a run is rendered from.

    Raises:
        NotFound: the run is not recorded.
    """
    return lambda connection, _, files: (
        read_facts(connection, dag_id, run_id),
        files.exceptions,
        files.suites,
    )
