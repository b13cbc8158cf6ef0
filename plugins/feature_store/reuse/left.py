"""The rows that refreshes left, known without reading them again.

Only REFRESH changes the rows of a materialized view (VACUUM FULL and CLUSTER move them), and each
of these writes the view's row of ``pg_class`` anew, with its own transaction number. So while that
is the number that the recorded refresh left, the rows have the state that was recorded with it.
GRANT and ALTER write the row of ``pg_class``, too: another number proves no change, and the rows
are read. VACUUM and ANALYZE change that row in its place and leave the number alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection


@dataclass(frozen=True)
class Left:
    """What a refresh left.

    Attributes:
        version: the transaction that had written the view's row of ``pg_class``.
        state: of its rows, as `row_state.row_state` gives it.
    """

    version: str
    state: str


LeftRows = Mapping[int, Left]


def read_left(connection: Connection[Any]) -> LeftRows:
    """Read what the latest refreshes left, by the OID of the view.

    Transaction numbers come round: what was recorded more than half their range ago, or in another
    cluster's future, is left out.
    """
    rows = connection.execute(
        """
        SELECT split_part(r.outcome, '/', 1)::oid, r.version, r.outcome
        FROM feature_store_audit.latest_refresh AS l
        INNER JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id
        WHERE r.outcome IS NOT NULL
            AND r.version IS NOT NULL
            AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric
            - pg_snapshot_xmin(r.snapshot)::text::numeric BETWEEN 0 AND 2147483647
        """
    ).fetchall()
    return {oid: Left(version, state) for oid, version, state in rows}
