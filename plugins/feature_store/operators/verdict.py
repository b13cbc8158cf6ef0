"""The DAG's last operator: the verdict on the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowTaskTimeout,
)

from feature_store.errors import RunOver
from feature_store.operators.airflow_run import is_last_try
from feature_store.operators.store_operator import StoreOperator
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from feature_store.connection import Connection
    from feature_store.operators.verdict_steps import Verdict


class AssertContractOperator(StoreOperator):
    """The verdict: fail if anything failed before; else check the store's contracts.

    It runs whatever happened before (give it ``trigger_rule="all_done"``), writes the run's report
    and releases the lease. It raises if the run failed, because a last task that succeeds would
    turn a failed run green. If all is well, it certifies what the run refreshed. Only then do its
    outlets (assets of what readers read, and of the feature logs) get their events.

    Returns (XCom): the hash of each feature set.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._verdict: Verdict | None = None

    def execute(self, context: Context) -> Any:
        """Give the verdict. If this is the last try and it fails, record that and send the mail.

        This is done inside the task: Airflow may kill what it calls after a task has failed, and
        then it runs the task again.
        """
        # Slow to import: a DAG file, which imports this, is parsed again and again.
        from feature_store.operators.verdict_steps import Verdict

        verdict = self._verdict = Verdict(self, context)
        try:
            return super().execute(context)
        except AirflowRescheduleException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            cause = error.__cause__ if isinstance(error, AirflowFailException) else error
            final = isinstance(error, AirflowFailException) or is_last_try(context)
            # A stopped task has no time left, and a run that is over has its verdict.
            if not final or self.stopped or isinstance(cause, RunOver):
                raise
            if verdict.end_badly(cause or error):
                return verdict.hashes
            raise

    def work(
        self,
        connection: Connection,
        settings: Settings,
        context: Context,  # noqa: ARG002  # the verdict has it
    ) -> dict[str, str | None]:
        """Certify the store, report it, and release the lease."""
        assert self._verdict is not None  # `execute` was called
        return self._verdict.give(connection, settings)

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage:
        """The feature sets that no task refreshes, for OpenLineage's provider."""
        # It needs the provider, an extra, which may not be installed; it alone calls this.
        from feature_store.operators.open_lineage import lineage_of_bound_views

        return lineage_of_bound_views(self.settings())
