"""Days that Python cannot hold: infinite ones, and those outside the years 1 to 9999.

A row that breaks an expectation must be named, whatever its values; so must one that was served.
So whoever reads such rows gets these days as text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import DataError
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader

from feature_store.connection import Connection


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


def read_far_dates(adapters: AdaptersMap) -> None:
    """Let a session, or one cursor, return days that Python cannot hold as text."""
    adapters.register_loader("date", _Date)
    adapters.register_loader("timestamp", _Timestamp)
    adapters.register_loader("timestamptz", _Timestamptz)


def reading_far_dates(connect: Callable[[], Connection]) -> Callable[[], Connection]:
    """Let a function's sessions return days that Python cannot hold as text."""

    def opened() -> Connection:
        connection = connect()
        read_far_dates(connection.adapters)
        return connection

    return opened
