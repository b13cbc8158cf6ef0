"""Checks the fields of an Airflow connection before libpq gets them.

Airflow takes anything here. An extra that is not JSON is dropped with a line in the log, and its
TLS options with it. A list, as the extra or as a value in it, fails deep inside the hook.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from psycopg import pq

from feature_store.errors import BadInput
from feature_store.text_format import fault

if TYPE_CHECKING:
    from airflow.sdk import Connection

_TYPES = ("postgres", "postgresql")
_TEXTS = ("host", "login", "password", "schema")
_PORTS = range(1, 65_536)
_MOST_CHARACTERS = 65_536


def read_extra(described: Connection, others: Collection[str]) -> dict[str, Any]:
    """Check a connection's fields. No message contains a value that could be secret.

    Args:
        described: as Airflow has it.
        others: fields of its extra that Airflow's hook takes besides options of libpq.

    Returns:
        Its extra, without the fields that are null.

    Raises:
        BadInput: it is not of type postgres, or has a field that cannot be used.
    """
    if described.conn_type not in _TYPES:
        raise unusable(described.conn_id, f"its type is {described.conn_type!r}, not 'postgres'.")
    for name in _TEXTS:
        value = getattr(described, name)
        if value is not None and not _is_usable(value):
            raise unusable(described.conn_id, f"its {name} cannot be sent as text.")
    if described.port is not None and described.port not in _PORTS:
        raise unusable(described.conn_id, f"its port is {described.port}, not 1 to 65535.")
    extra = _parsed(described)
    for name, value in extra.items():
        if name not in others and name not in _libpq_options():
            raise unusable(described.conn_id, f'its extra has the field "{name}".', _OPTIONS)
        if name not in others and not _is_usable(value):
            raise unusable(
                described.conn_id,
                f'the value of "{name}" in its extra is neither text nor a number.',
            )
    return {name: value for name, value in extra.items() if value is not None}


def unusable(conn_id: str, why: str, next_step: str = "Fix that field.") -> BadInput:
    """The error of a connection that no try could open."""
    return BadInput(
        f"The Airflow connection {conn_id!r} cannot be used: {why}", next_step=next_step
    )


_OPTIONS = "Fix its extra: every field there must be an option of libpq."


def _parsed(described: Connection) -> dict[str, Any]:
    try:
        extra = json.loads(described.extra or "{}")
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise unusable(described.conn_id, "its extra is not a JSON object.", _OPTIONS)
    return extra


def _libpq_options() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _is_usable(value: object) -> bool:
    if isinstance(value, str):
        return fault(value, most=_MOST_CHARACTERS) is None
    return value is None or isinstance(value, bool | int | float)
