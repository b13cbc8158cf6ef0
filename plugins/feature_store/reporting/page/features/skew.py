"""How much today's values of a feature differ from the served ones, by the latest run."""

from __future__ import annotations

from psycopg.rows import class_row

from feature_store.connection import Connection
from feature_store.reporting.page.features.feature_models import SkewShare
from feature_store.validation.skew import AGES, ALL

_SKEW = """
SELECT k.dag_id, k.run_id, k.age, k.compared, k.differing, k.typical, k.gone
FROM feature_store_audit.feature_skew AS k
WHERE k.feature_set = %(set)s AND k.feature = %(feature)s
    AND k.suite_event = (
        SELECT max(n.suite_event) FROM feature_store_audit.feature_skew AS n
        WHERE n.feature_set = %(set)s AND n.feature = %(feature)s
    )
ORDER BY array_position(%(ages)s, k.age)
"""


def read_skew(connection: Connection, feature_set: str, feature: str) -> list[SkewShare]:
    """By age, all ages first; empty if not measured."""
    with connection.cursor(row_factory=class_row(SkewShare)) as cursor:
        return cursor.execute(
            _SKEW, {"set": feature_set, "feature": feature, "ages": [ALL, *AGES]}
        ).fetchall()
