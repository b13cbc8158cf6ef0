"""The DAG's operators: take the lease and look, refresh one relation, check one suite.

The last operator, which gives the verdict, is in `verdict`. Each opens its own session and holds
the store's lease (`store_operator`). What it does there is in a module of its own: `prepare_steps`,
`refresh_steps`, `suite_steps`, `verdict_steps`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from feature_store.operators.store_operator import StoreOperator
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from feature_store.connection import Connection

# A task that waits for the lease is rescheduled many times. If it comes back before a slow
# scheduler has noted its end, the scheduler counts it as lost, and a try is gone. So it gets extra
# tries.
_RETRIES_OF_WHO_WAITS = 10


class PrepareOperator(StoreOperator):
    """Take the lease, then check that a refresh can start. Changes nothing in the store.

    If an earlier run failed and could not send its mail, that mail is sent first.

    Returns (XCom): the run's as-of day as YYYY-MM-DD.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retries": _RETRIES_OF_WHO_WAITS, **kwargs})

    def work(self, connection: Connection, settings: Settings, context: Context) -> str:
        """Take the lease, check everything, and open the run's record."""
        # Slow to import: a DAG file, which imports this, is parsed again and again.
        from feature_store.operators.prepare_steps import prepare

        return prepare(connection, settings, context, self.settings)


class RefreshOperator(StoreOperator):
    """Refresh one relation, unless a refresh would change nothing.

    It never skips: a skip would turn an unvalidated run green.

    Args:
        relation: its name, ``schema.name``.

    Returns (XCom): mode, rows, bytes and seconds; or mode ``reused`` and the reason.
    """

    template_fields = ("relation",)

    def __init__(self, *, relation: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.relation = relation

    def work(self, connection: Connection, settings: Settings, context: Context) -> dict[str, Any]:
        """Refresh the relation under the lease, or record why it is not necessary."""
        # Slow to import: a DAG file, which imports this, is parsed again and again.
        from feature_store.operators.refresh_steps import refresh_relation

        return refresh_relation(connection, settings, context, self.relation)

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage:
        """What it reads and writes, column by column, for OpenLineage's provider."""
        # It needs the provider, an extra, which may not be installed; it alone calls this.
        from feature_store.operators.open_lineage import lineage_of

        return lineage_of(self.relation, self.settings())


class SuiteOperator(StoreOperator):
    """Check all expectations of one suite, even if some of them fail.

    Args:
        suite: its name, one of `suites.toml`.

    Returns (XCom): how many expectations were met, and the names of those that were not.
    """

    template_fields = ("suite",)

    def __init__(self, *, suite: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite

    def work(self, connection: Connection, settings: Settings, context: Context) -> dict[str, Any]:
        """Run the suite's proofs, then its expectations, under the lease."""
        # Slow to import: a DAG file, which imports this, is parsed again and again.
        from feature_store.operators.suite_steps import check_suite

        return check_suite(
            connection, settings, context, self.suite, partial(self.connect, settings)
        )
