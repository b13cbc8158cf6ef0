"""The features that a run found changed since they were served, as rows of a table."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from feature_store.connection import Connection
from feature_store.validation.skew import ALL

_MOVED = """
SELECT
    k.feature_set, k.feature, round(k.differing::numeric / k.compared, 4) AS share_of_rows,
    k.typical AS typically_by, k.compared, k.gone AS gone_since
FROM feature_store_audit.feature_skew AS k
WHERE k.dag_id = %s AND k.run_id = %s AND k.age = %s AND k.differing > 0
ORDER BY share_of_rows DESC, k.feature_set, k.feature
"""


def moved_features(connection: Connection, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """The features that moved since they were served, the largest share first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_MOVED, (dag_id, run_id, ALL)).fetchall()
    return [row | {"share_of_rows": float(row["share_of_rows"])} for row in rows]
