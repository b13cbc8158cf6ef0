"""Reports: drawn once for all who ask, kept in bounds, and never instead of newer facts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from feature_store.reporting.page.problems import Busy
from feature_store.reporting.page.reports import Drawable, Reports, draw, drawable
from tests.feature_store.reporting.page.conftest import ANN, BEN, TONIGHT


@pytest.fixture(scope="module")
def tonight(nightly, settings, files) -> Drawable:
    return drawable("feature_store_refresh", TONIGHT)(nightly.connection, settings, files)


@pytest.fixture(scope="module")
def another(tonight) -> Drawable:
    """What a report is drawn from after the run was judged anew."""
    facts, *declared = tonight
    return replace(facts, run=replace(facts.run, problem="Failed: uniqueness.")), *declared


class Pen:
    """Draws, and counts what it has drawn. With ``waits`` it first waits for ``may_go_on``."""

    def __init__(self, *, waits: bool = False) -> None:
        self.drawn: list[Drawable] = []
        self.at_once = 0
        self.may_go_on = threading.Event()
        self._busy = threading.Lock()
        if not waits:
            self.may_go_on.set()

    def __call__(self, told: Drawable) -> bytes:
        assert self._busy.acquire(blocking=False), "two are drawn at once"
        try:
            self.may_go_on.wait(20)
            self.drawn.append(told)
            return draw(told)
        finally:
            self._busy.release()


def _together(*asked: Coroutine[Any, Any, bytes]) -> list[bytes]:
    async def gather() -> list[bytes]:
        return await asyncio.gather(*asked)

    return asyncio.run(gather())


def test_however_many_ask_at_once_it_is_drawn_once(tonight):
    pen = Pen()
    reports = Reports(pen)
    first, *others = _together(*[reports.get(ANN, tonight) for _ in range(20)])
    assert TONIGHT.encode() in first
    assert set(others) == {first}
    assert pen.drawn == [tonight]


def test_it_is_kept_for_who_asks_later(tonight):
    pen = Pen()
    reports = Reports(pen)
    assert (
        _together(reports.get(ANN, tonight))
        == _together(reports.get(ANN, tonight))
        == [draw(tonight)]
    )
    assert pen.drawn == [tonight]


def test_facts_that_changed_are_drawn_anew(tonight, another):
    reports = Reports()
    before, after = _together(reports.get(ANN, tonight), reports.get(ANN, another))
    assert b"Failed: uniqueness." not in before
    assert b"Failed: uniqueness." in after


def test_two_are_never_drawn_at_once_but_each_after_the_other(tonight, another):
    pen = Pen()
    reports = Reports(pen)
    _together(reports.get(ANN, tonight), reports.get(BEN, another))
    assert pen.drawn == [tonight, another]


def test_no_more_is_kept_than_may_be(tonight, another):
    size = len(draw(tonight))
    pen = Pen()
    reports = Reports(pen, kept_bytes=size + size // 2)
    for told in (tonight, another, another, tonight):
        _together(reports.get(ANN, told))
    assert pen.drawn == [tonight, another, tonight]


def test_what_is_too_long_to_be_kept_is_told_all_the_same(tonight):
    pen = Pen()
    reports = Reports(pen, kept_bytes=10)
    for _ in range(2):
        assert _together(reports.get(ANN, tonight)) == [draw(tonight)]
    assert len(pen.drawn) == 2


def test_when_too_many_wait_for_one_user_that_user_s_next_is_sent_away(tonight, another):
    async def ask() -> None:
        pen = Pen(waits=True)
        reports = Reports(pen, waiting=1)
        first = asyncio.create_task(reports.get(ANN, tonight))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="Too many of your reports"):
            await reports.get(ANN, another)
        same = asyncio.create_task(reports.get(ANN, tonight))
        of_another = asyncio.create_task(reports.get(BEN, another))
        await asyncio.sleep(0)
        pen.may_go_on.set()
        assert await first == await same
        assert await of_another
        assert await reports.get(ANN, another)  # the place is free again

    asyncio.run(ask())


def test_who_goes_away_takes_it_from_nobody(tonight):
    async def ask() -> None:
        pen = Pen(waits=True)
        reports = Reports(pen)
        gone = asyncio.create_task(reports.get(ANN, tonight))
        await asyncio.sleep(0)
        other = asyncio.create_task(reports.get(ANN, tonight))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        pen.may_go_on.set()
        assert TONIGHT.encode() in await other
        assert pen.drawn == [tonight]

    asyncio.run(ask())


def test_what_could_not_be_drawn_is_tried_again(tonight):
    def fails_once(told: Drawable) -> bytes:
        tried.append(told)
        if len(tried) == 1:
            raise MemoryError
        return draw(told)

    tried: list[Drawable] = []
    reports = Reports(fails_once)
    with pytest.raises(MemoryError):
        _together(reports.get(ANN, tonight))
    assert _together(reports.get(ANN, tonight)) == [draw(tonight)]
