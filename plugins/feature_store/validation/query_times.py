"""Measures how long the queries of a suite take, because Great Expectations does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def timing_queries(engine: Any) -> Iterator[Callable[[str], float]]:
    """Time the statements that are executed meanwhile.

    Args:
        engine: SQLAlchemy's.

    Yields:
        A function: the seconds of all statements that contain a text.
    """
    from sqlalchemy import event

    ended: list[tuple[str, float]] = []
    started = 0.0

    def before(*_: Any) -> None:
        nonlocal started
        started = time.monotonic()

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # In the statement each percent sign is doubled.
        ended.append((statement.replace("%%", "%"), time.monotonic() - started))

    def failed(context: Any) -> None:
        after(None, None, context.statement or "")

    hooks = {"before_cursor_execute": before, "after_cursor_execute": after, "handle_error": failed}
    for name, hook in hooks.items():
        event.listen(engine, name, hook)
    try:
        yield lambda text: sum(seconds for statement, seconds in ended if text in statement)
    finally:
        for name, hook in hooks.items():
            event.remove(engine, name, hook)
