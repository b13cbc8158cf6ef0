"""Who may see the page: whoever is logged in to Airflow and may read the store's DAG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import (
    bearer_scheme,
    get_user,
    oauth2_scheme,
    requires_access_dag,
)
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials

from feature_store.reporting.page.requested_store import asked
from feature_store.reporting.page.stores import asked_dag, asked_store, readable


async def _logged_in(
    request: Request,
    _: Annotated[str | None, Depends(oauth2_scheme)],  # for the schema alone, as in Airflow's own
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
) -> BaseUser:
    """The user. Airflow answers 403, not 401, to a forged, damaged or logged-out token."""
    try:
        return await get_user(request, None, bearer)
    except HTTPException as error:
        raise HTTPException(401 if error.status_code == 403 else error.status_code) from error


User = Annotated[BaseUser, Depends(_logged_in)]
"""The user; 401 if nobody is logged in, or the login has expired."""


class Elsewhere(Exception):
    """The page of the store that is asked for has another address.

    Attributes:
        address: it, relative to the page's own.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(address)


def _may_read(user: User) -> Callable[[str], bool]:
    """Whether the user may read the DAG of an id."""
    return lambda dag_id: get_auth_manager().is_authorized_dag(
        method="GET",
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


MayRead = Annotated[Callable[[str], bool], Depends(_may_read)]


def _may_read_the_dag(request: Request, user: User, may_read: MayRead) -> None:
    if asked().is_page and not asked().by_address and (path := path_of_page(may_read)):
        question = request.url.query
        raise Elsewhere(f"{path}?{question}" if question else path)
    requires_access_dag("GET", param_dag_id=asked_dag())(request, user)


def path_of_page(may_read: Callable[[str], bool]) -> str:
    """Where the page is that a reader of the page's own address wants; empty: it is that."""
    store = asked_store()
    if store.own and not may_read(store.dag_id):
        store = next(iter(readable(may_read)), store)
    return store.path


may_read_the_dag = Depends(_may_read_the_dag)
"""Answers 403 to whoever is logged in and may not read the DAG."""

NO_NUL = r"^[^\x00]*$"
"""For names: PostgreSQL's text cannot contain that character."""
DagId = Annotated[str, Query(description="The DAG of the run.", max_length=250, pattern=NO_NUL)]


def _may_see_tasks(dag_id: DagId, user: User) -> bool:
    """Whether the user may see the tasks of the DAG that a request asks about."""
    return get_auth_manager().is_authorized_dag(
        method="GET",
        access_entity=DagAccessEntity.TASK_INSTANCE,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


MaySeeTasks = Annotated[bool, Depends(_may_see_tasks)]
