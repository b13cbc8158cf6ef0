"""Great Expectations' expectation of a query without rows, run once.

Its own runs the query twice: for the number of rows, then for the rows. Here each row says how many
there are. Importing this is as slow as Great Expectations is.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.expectations.core.unexpected_rows_expectation import (  # noqa: TID253
    UnexpectedRowsExpectation,
)

_ROWS = "unexpected_rows_query.table"
_COUNT = "rows in all"
# Great Expectations puts the batch here: a single row that the queries do not use.
_QUERY = """
SELECT unexpected.*, count(*) OVER () AS "rows in all"
FROM (
{}
) AS unexpected CROSS JOIN {{batch}} AS batch
"""


def counted(query: str) -> str:
    """A query of unexpected rows, each with their number, as `NoUnexpectedRows` takes it."""
    return _QUERY.format(query)


class NoUnexpectedRows(UnexpectedRowsExpectation):
    """That a query, made by `counted`, gives no row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (_ROWS,)

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        rows = [dict(row) for row in metrics[_ROWS]]
        numbers = [row.pop(_COUNT) for row in rows]
        return {
            "success": not rows,
            "result": {
                "observed_value": numbers[0] if numbers else 0,
                "details": {"unexpected_rows": rows},
            },
        }
