"""Which stores the page can show, by what the DAGs say, and which one a request is about.

Each DAG that `feature_store_dag` made names its folder and its connection, if it has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow.models.dag import DagModel, DagTag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from pydantic import Field
from sqlalchemy import select  # noqa: TID253  # only the API server comes here

from feature_store.errors import BadInput
from feature_store.reporting.page.problems import NotFound
from feature_store.reporting.page.requested_store import PageStore, asked
from feature_store.reporting.store.models import Plain
from feature_store.reporting.store.store_files import read_files
from feature_store.settings import Settings, read_settings
from feature_store.store_address import command_of, of_store

_TAG, _OUR_TASKS = "feature-store", "feature_store.operators.tasks"


class StoreLine(Plain):
    """A store to choose."""

    dag_id: str
    title: str = Field(description="How people call it.")
    path: str = Field(description="Its address below the page's own.")
    chosen: bool = Field(description="It is the one of this address.")


class Stores(Plain):
    """What a reader may choose from."""

    stores: list[StoreLine]
    command: str = Field(description="What a command on the chosen store begins with.")


_Named = tuple[str | None, str | None]
_known: dict[str, tuple[str, _Named | None]] = {}


def asked_store() -> PageStore:
    """The store that the request is about.

    Raises:
        NotFound: its address names a DAG that keeps no store.
        BadInput: a setting, or a file of the store, cannot be used.
    """
    about = asked()
    if about.store is None:
        found = stores()
        about.store = found.get(about.dag_id or "")
        if about.store is None and about.by_address:
            raise NotFound(
                "No DAG of that name keeps a feature store.",
                "Airflow may not have read its file yet: see `airflow dags list`.",
            )
        about.store = about.store or next(iter(found.values()))
    return about.store


def asked_dag() -> str:
    """The DAG whose readers may see what is asked; it need not be there.

    Raises:
        BadInput: as `asked_store`.
    """
    about = asked()
    return about.dag_id if about.by_address and about.dag_id else asked_store().dag_id


def readable(may_read: Callable[[str], bool]) -> list[PageStore]:
    """The stores of which somebody may read the DAG.

    Args:
        may_read: whether they may read the DAG of an id.
    """
    return [store for store in stores().values() if may_read(store.dag_id)]


def read_stores(may_read: Callable[[str], bool]) -> Stores:
    """What a reader may choose from, and what its commands begin with.

    Args:
        may_read: as in `readable`.
    """
    chosen = asked_store()
    lines = [
        StoreLine(
            dag_id=one.dag_id, title=one.title, path=one.path, chosen=one.dag_id == chosen.dag_id
        )
        for one in readable(may_read)
    ]
    return Stores(stores=lines, command=command_of(chosen.settings))


def stores() -> Mapping[str, PageStore]:
    """The stores of this Airflow by their DAGs, that of the settings first.

    That one is there without a DAG, too, unless there are others.

    Raises:
        BadInput: there is none but that of the settings, which cannot be used.
    """
    settings = read_settings()
    others = {store.dag_id: store for store in _of_dags(settings)}
    try:
        dag_id = read_files(settings.include_dir).profile.dag_id
    except BadInput:
        if others:
            return others
        raise
    if others and dag_id not in others:
        return others
    own = others.pop(dag_id, None) or PageStore(dag_id, settings, own=True)
    return {dag_id: replace(own, own=True), **others}


def _of_dags(settings: Settings) -> Iterator[PageStore]:
    with create_session() as session:
        versions = session.execute(
            select(DagModel.dag_id, DagModel.timetable_summary, SerializedDagModel.dag_hash)
            .join(DagTag, DagTag.dag_id == DagModel.dag_id)
            .join(SerializedDagModel, SerializedDagModel.dag_id == DagModel.dag_id)
            .where(DagTag.name == _TAG, DagModel.is_stale.is_(False))
            .order_by(DagModel.dag_id, SerializedDagModel.created_at)
        ).all()
        for dag_id, (schedule, version) in {row[0]: (row[1], row[2]) for row in versions}.items():
            if _known.get(dag_id, ("",))[0] != version:
                dag = SerializedDagModel.get(dag_id, session=session)
                _known[dag_id] = (version, _named_by((dag and dag.data) or {}))
            if named := _known[dag_id][1]:
                own = of_store(settings, *named)
                yield PageStore(dag_id, replace(own, schedule=schedule or own.schedule), own=False)


def _named_by(serialized: dict[str, Any]) -> _Named | None:
    """The folder and the connection that a DAG names; None: it is none of ours."""
    dag = serialized.get("dag", {})
    modules = {task.get("__var", {}).get("_task_module") for task in dag.get("tasks", ())}
    if _OUR_TASKS not in modules:
        return None
    defaults = dag.get("default_args", {}).get("__var", {})
    return defaults.get("include_dir"), defaults.get("conn_id")
