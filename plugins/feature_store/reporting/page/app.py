"""The page's application: its routes, only for users who may read the store's DAG."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from feature_store.reporting.page import assets, headers
from feature_store.reporting.page.access import (
    NO_NUL,
    DagId,
    Elsewhere,
    MayRead,
    MaySeeTasks,
    User,
    may_read_the_dag,
)
from feature_store.reporting.page.database import Sessions
from feature_store.reporting.page.features.feature_models import FeatureDetail, Features
from feature_store.reporting.page.features.feature_profile import read_feature_profile
from feature_store.reporting.page.features.features import read_feature, read_features
from feature_store.reporting.page.features.profile_models import (
    FeatureProfile,
    Profiles,
    RelationSource,
    ServedBesideToday,
)
from feature_store.reporting.page.features.profiles import read_profiles
from feature_store.reporting.page.features.served import read_served
from feature_store.reporting.page.nights import read_nights
from feature_store.reporting.page.now import read_now
from feature_store.reporting.page.problems import NotFound, add_handlers
from feature_store.reporting.page.relation_source import read_relation_source
from feature_store.reporting.page.reports import Reports, drawable
from feature_store.reporting.page.requested_store import StorePaths
from feature_store.reporting.page.run_models import RunDetail, Runs
from feature_store.reporting.page.runs import read_run, read_runs
from feature_store.reporting.page.stores import Stores, asked_store, read_stores
from feature_store.reporting.page.tasks import read_tasks
from feature_store.reporting.store.models import Nights, Now, Problem
from feature_store.reporting.store.store_files import read_files

_ABOUT = """What the page shows, as JSON: the store now, over time, feature by feature and
run by run. Everything is read from the store's audit tables, in a session that can only read. Log
in as for Airflow's own API: with its cookie, or `Authorization: Bearer` and a token from
`POST /auth/token`. Whoever may read the store's DAG may read this."""

_ALWAYS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "Nobody is logged in, or the login has expired."},
    403: {"model": Problem, "description": "The user may not read the DAG."},
    503: {
        "model": Problem,
        "description": "No answer at this moment, and why.",
    },
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "It does not exist, or its record is past retention."},
}
_INVALID: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "A parameter is not valid, and why."},
}


class Span(IntEnum):
    """Days that the page shows at once."""

    QUARTER = 90
    YEAR = 365
    TWO_YEARS = 730


_RunId = Annotated[str, Query(description="The run.", max_length=250, pattern=NO_NUL)]


def create_app() -> FastAPI:
    """Make the application, which is mounted below Airflow's own."""
    app = FastAPI(
        title="Feature store",
        description=_ABOUT,
        version=assets.VERSION,
        openapi_url=None,  # served below, like all the rest to whoever may see it
        docs_url=None,
        redoc_url=None,
        dependencies=[may_read_the_dag],
        responses=_ALWAYS,
    )
    add_handlers(app)
    app.add_exception_handler(Elsewhere, lambda _, error: RedirectResponse(str(error)))
    app.add_middleware(StorePaths)
    app.add_middleware(headers.SafeHeaders)
    app.add_middleware(headers.HeadAsGet)
    sessions = Sessions()
    _add_page(app)
    _add_store(app, sessions)
    _add_features(app, sessions)
    _add_runs(app, sessions)
    _add_report(app, sessions)

    @app.get("/{rest:path}", include_in_schema=False)
    def nothing() -> Response:
        raise NotFound("There is nothing at this address.")

    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page(request: Request) -> Response:
        return assets.serve(request, assets.PAGE)

    @app.get("/static/{name}", include_in_schema=False)
    def static(request: Request, name: str) -> Response:
        return assets.serve(request, name)

    @app.get("/api/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return JSONResponse(app.openapi())


def _add_store(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/api/now", tags=["store"], summary="The store now")
    async def now(user: User) -> Now:
        """The verdict in one line, every relation, the contracts as they are now, open findings.

        Also of a store that has not been created: the `standing` of its verdict is `empty`.
        """
        return await sessions.ask(user, read_now)

    @app.get("/api/stores", tags=["store"], summary="The stores to choose from")
    def stores(may_read: MayRead) -> Stores:
        """Those whose DAG the user may read. Below `stores/DAG/` each has all these addresses."""
        return read_stores(may_read)

    @app.get("/api/nights", tags=["store"], summary="The store over time", responses=_INVALID)
    async def nights(
        user: User,
        days: Annotated[Span, Query(description="How far back.")] = Span.QUARTER,
    ) -> Nights:
        """Every run, refresh and finding of history of that many days."""
        return await sessions.ask(user, partial(read_nights, days=days))

    @app.get(
        "/api/relations/{name}",
        tags=["store"],
        summary="What a relation is made of",
        responses={**_NOT_FOUND, **_INVALID},
    )
    async def relation(
        user: User, name: Annotated[str, Path(description="schema.relation", max_length=250)]
    ) -> RelationSource:
        """Its SQL from its file, and its columns from the database."""
        return await sessions.ask(user, partial(read_relation_source, relation=name))


def _add_features(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/api/features", tags=["features"], summary="All features of all sets")
    def features() -> Features:
        """As in the contract files, with the ids of the exceptions that reach each feature."""
        return read_features(read_files(asked_store().settings.include_dir))

    @app.get("/api/profiles", tags=["features"], summary="All features over the last nights")
    async def profiles(user: User) -> Profiles:
        """Shares of rows without a value, and drift, night by night, from the record only."""
        return await sessions.ask(user, read_profiles)

    # A name may hold a slash, which is decoded before the route is looked for. So this one first.
    @app.get(
        "/api/features/{feature_set}/{name:path}/profile",
        tags=["features"],
        summary="What a feature's values look like",
        responses={**_NOT_FOUND, **_INVALID},
    )
    async def profile(
        user: User,
        feature_set: Annotated[str, Path(description="The set.", max_length=250)],
        name: Annotated[str, Path(description="The feature.", max_length=250)],
        days: Annotated[int, Query(ge=1, le=3650, description="How far back to show drift.")] = 730,
    ) -> FeatureProfile:
        """Now against the stamp, by month of t0, and the SQL that reads it."""
        return await sessions.ask(
            user, partial(read_feature_profile, feature_set=feature_set, name=name, days=days)
        )

    @app.get(
        "/api/features/{feature_set}/{name:path}",
        tags=["features"],
        summary="One feature",
        responses={**_NOT_FOUND, **_INVALID},
    )
    async def feature(
        user: User,
        feature_set: Annotated[
            str, Path(description="The set, by its contract's name.", max_length=250)
        ],
        name: Annotated[str, Path(description="The feature.", max_length=250)],
        days: Annotated[int, Query(ge=1, le=3650, description="How far back to show NULLs.")] = 730,
    ) -> FeatureDetail:
        """Its contract, the columns that it is made of, its share of NULLs run by run."""
        return await sessions.ask(
            user, partial(read_feature, feature_set=feature_set, name=name, days=days)
        )

    @app.get(
        "/api/served/{feature_set}",
        tags=["features"],
        summary="One entity as it was served, and today",
        responses={**_NOT_FOUND, **_INVALID},
    )
    async def served(
        user: User,
        feature_set: Annotated[str, Path(description="The set.", max_length=250)],
        entity: Annotated[
            str,
            Query(
                description="A value of the column that the contract calls entity.",
                max_length=100,
                pattern=NO_NUL,
            ),
        ],
    ) -> ServedBesideToday:
        """Only if the page's role may read rows of the set and of its log."""
        return await sessions.ask(
            user, partial(read_served, feature_set=feature_set, entity=entity)
        )


def _add_runs(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/api/runs", tags=["runs"], summary="Runs, latest first", responses=_INVALID)
    async def runs(
        user: User,
        before: Annotated[
            datetime | None, Query(description="Only runs prepared before this moment.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="The most runs to return.")] = 50,
    ) -> Runs:
        """For older runs, ask again with the last one's `prepared_at` as `before`."""
        return await sessions.ask(
            user, lambda connection, settings, _: read_runs(connection, settings, before, limit)
        )

    @app.get("/api/run", tags=["runs"], summary="One run", responses={**_NOT_FOUND, **_INVALID})
    async def run(
        user: User, dag_id: DagId, run_id: _RunId, may_see_tasks: MaySeeTasks
    ) -> RunDetail:
        """What it checked, found and refreshed, and its tasks in Airflow."""
        in_airflow = await run_in_threadpool(read_tasks, dag_id, run_id, may_see_tasks)
        return await sessions.ask(
            user, partial(read_run, dag_id=dag_id, run_id=run_id, in_airflow=in_airflow)
        )


def _add_report(app: FastAPI, sessions: Sessions) -> None:
    reports = Reports()

    @app.get(
        "/api/report",
        tags=["runs"],
        summary="The report of a run",
        response_class=HTMLResponse,
        responses={**_NOT_FOUND, **_INVALID},
    )
    async def report(user: User, dag_id: DagId, run_id: _RunId) -> HTMLResponse:
        """The run's report, as its file has it, but with what is certified and pending now."""
        told = await sessions.ask(user, drawable(dag_id, run_id))
        return HTMLResponse(
            await reports.get(user, told), headers={"Content-Security-Policy": headers.REPORT}
        )
