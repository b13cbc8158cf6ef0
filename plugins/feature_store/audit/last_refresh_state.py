"""The state of the rows that refreshes left, known without reading the rows again.

Only REFRESH changes the rows of a materialized view (VACUUM FULL and CLUSTER move them). Each of
these also rewrites the view's row of ``pg_class``, with its own transaction number. So as long as
that number is the recorded refresh's, the rows have the state that was recorded with it. GRANT and
ALTER rewrite the row of ``pg_class``, too: another number does not prove a change, so then the rows
are read. VACUUM and ANALYZE update that row in place and keep the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from feature_store.audit.latest_refreshes import LatestRefreshes, read_latest


@dataclass(frozen=True)
class Left:
    """What a refresh left.

    Attributes:
        version: the transaction that had written the view's row of ``pg_class``.
        state: of its rows, as `row_versions.row_state` gives it.
    """

    version: str
    state: str


LeftRows = Mapping[int, Left]


def left_by(latest: LatestRefreshes) -> LeftRows:
    """What the latest refreshes left, by the view's OID, if that is known."""
    return {
        int(one.outcome.split("/")[0]): Left(one.version, one.outcome)
        for one in latest.values()
        if one.outcome is not None and one.version is not None
    }


def read_left(connection: Connection[Any]) -> LeftRows:
    """Read what the latest refreshes left, by the OID of the view."""
    return left_by(read_latest(connection))
