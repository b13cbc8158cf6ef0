"""Who may see the page: whoever is logged in to Airflow and may read the store's DAG."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, Query

DAG_ID = "feature_store_refresh"

may_read_the_dag = Depends(requires_access_dag("GET", param_dag_id=DAG_ID))
"""Answers 401 to whoever is not logged in, 403 to whoever may not read the DAG."""

NO_NUL = r"^[^\x00]*$"
"""Of names: PostgreSQL's text cannot hold that character."""
DagId = Annotated[str, Query(description="The DAG of the run.", max_length=250, pattern=NO_NUL)]


def _may_see_tasks(dag_id: DagId, user: GetUserDep) -> bool:
    """Whether the user may see the tasks of the DAG that a request asks about."""
    return get_auth_manager().is_authorized_dag(
        method="GET",
        access_entity=DagAccessEntity.TASK_INSTANCE,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


MaySeeTasks = Annotated[bool, Depends(_may_see_tasks)]
