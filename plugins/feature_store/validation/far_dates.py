"""Days that Python cannot hold: infinite ones, and those outside the years 1 to 9999.

A row that breaks an expectation must be named, whatever its values. So a session that reads such
rows gets these days as text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import Connection, DataError
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader


class _Date(DateLoader):
    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


class _Timestamp(TimestampLoader):
    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


def reading_far_dates(connect: Callable[[], Connection[Any]]) -> Callable[[], Connection[Any]]:
    """Let a function's sessions return days that Python cannot hold as text."""

    def opened() -> Connection[Any]:
        connection = connect()
        connection.adapters.register_loader("date", _Date)
        connection.adapters.register_loader("timestamp", _Timestamp)
        connection.adapters.register_loader("timestamptz", _Timestamptz)
        return connection

    return opened
