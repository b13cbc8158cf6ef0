"""Why a request has no answer, in words; details for the operator go to the log."""

from __future__ import annotations

import logging

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup
from starlette.exceptions import HTTPException as StarletteHTTPException

from feature_store.errors import BadInput, CannotConnect, NotReady, StoreError
from feature_store.reporting.page import headers as safe
from feature_store.reporting.page.requested_store import asked
from feature_store.reporting.store.models import Problem
from feature_store.store_address import addressed

log = logging.getLogger(__name__)

_ADDRESSES = (
    "The page begins at /feature-store/; /feature-store/api/openapi.json describes every address."
)
_SAID = {
    401: Problem(
        problem="Nobody is logged in, or the login is no longer valid.",
        next_step="Log in to Airflow again, or send a new token: Authorization: Bearer …",
    ),
    403: Problem(
        problem="You may not read the DAG of this store, so you may not see the store.",
        next_step="Ask whoever grants permissions in Airflow.",
    ),
    404: Problem(problem="There is nothing at this address.", next_step=_ADDRESSES),
    405: Problem(problem="This page is read-only: it takes only GET and HEAD."),
}
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    405: {"Allow": "GET, HEAD"},
}
_RETRY = {"Retry-After": "5"}
# Without styles or scripts: those belong to the page that could not answer.
_PAGE = Markup(
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
    'content="light dark"><title>Feature store</title></head><body><h1>Feature store</h1>{}</body>'
    "</html>\n"
)
_LINE = Markup("<p>{}</p>")
_LOGIN = Markup('<p><a href="{}" target="_top">Log in again</a></p>')


class NotFound(Exception):
    """What was asked for does not exist.

    Attributes:
        problem: what is not there.
        next_step: where to look instead.
    """

    def __init__(self, problem: str, next_step: str | None = None) -> None:
        self.problem = problem
        self.next_step = next_step or _ADDRESSES
        super().__init__(problem)


class Busy(Exception):
    """Too many requests at once; a moment later there may be an answer.

    Attributes:
        problem: for what.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


def add_handlers(app: FastAPI) -> None:
    """Let an application answer errors in words."""
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(psycopg.Error, _database)
    app.add_exception_handler(Exception, _unexpected)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    said = _SAID.get(error.status_code, Problem(problem=str(error.detail)))
    return _answer(request, error.status_code, said, _HEADERS.get(error.status_code))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [f"{e['loc'][-1]}: {e['msg']}" for e in error.errors()]
    return _answer(
        request,
        422,
        Problem(problem=f"The address cannot be used. {'; '.join(wrong)}.", next_step=_ADDRESSES),
    )


def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotFound)
    return _answer(request, 404, Problem(problem=error.problem, next_step=error.next_step))


def _busy(request: Request, error: Exception) -> Response:
    assert isinstance(error, Busy)
    log.warning("The page has no answer: %s", error)
    return _unavailable(request, error.problem, "Try again in a few seconds.", _RETRY)


def _store(request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)
    log.warning("The page has no answer: %s", error)
    if isinstance(error, CannotConnect):
        # The error names host and login, which not every reader needs to know.
        return _unavailable(
            request,
            "The feature store's database cannot be reached, or refuses the API server's login.",
            "Check that the database is up; the API server's log has its answer.",
        )
    if isinstance(error, NotReady):
        return _unavailable(request, error.problem, error.next_step or "")
    if isinstance(error, BadInput):
        return _unavailable(
            request,
            "The API server's settings, or the files of the package, cannot be used, "
            "so the store cannot be asked.",
            "The API server's log says what is wrong. Most often it lacks the connection to the "
            "store's database: docs/page.md.",
        )
    return _unavailable(request, "The store cannot be asked.", "See the API server's log.")


_OLDER_RECORD = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
)


def _database(request: Request, error: Exception) -> Response:
    log.warning("The page has no answer from the database: %s", error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _unavailable(
            request,
            "The API server's login may not read the record of the feature store's runs.",
            "Run what `bin/feature-store grants` prints, and give the API server the role of the "
            "page: docs/page.md.",
        )
    if isinstance(error, _OLDER_RECORD):
        return _unavailable(
            request,
            "The record of the feature store's runs is older than this page.",
            "Run `bin/feature-store apply`.",
        )
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return _unavailable(
            request,
            "The feature store's database took too long to answer.",
            "Try again in a minute.",
        )
    return _unavailable(
        request,
        "The feature store's database closed the connection, or could not answer.",
        "Try again. The API server's log has the database's answer.",
    )


def _unexpected(request: Request, _: Exception) -> Response:
    """A mistake of ours. It gets all headers here, because nothing after this adds any."""
    problem = Problem(
        problem="The page has failed: this is an error of its own.",
        readers="are not affected: only the page has no answer.",
        next_step="See the API server's log, which has the error.",
    )
    return _answer(request, 500, problem, safe.ALWAYS)


def _unavailable(
    request: Request, problem: str, next_step: str, headers: dict[str, str] | None = None
) -> Response:
    return _answer(
        request,
        503,
        Problem(
            problem=problem,
            readers="have the same rows as before, if the database answers them.",
            next_step=next_step,
        ),
        headers,
    )


def _answer(
    request: Request, status: int, problem: Problem, headers: dict[str, str] | None = None
) -> Response:
    """As JSON, or as a page if a browser opened the address itself."""
    if store := asked().store:
        change = addressed(store.settings)
        problem = Problem(**{field: change(words) for field, words in problem})
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_as_page(status, problem), status, headers)
    return JSONResponse(problem.model_dump(), status, headers)


def _as_page(status: int, problem: Problem) -> str:
    readers = problem.readers and f"Readers {problem.readers}"
    texts = (problem.problem, readers, problem.next_step)
    lines = [_LINE.format(text) for text in texts if text]
    if status == 401:
        # The page itself is one step below Airflow.
        airflow = asked().root.rpartition("/")[0] + "/"
        lines.append(_LOGIN.format(airflow))
    return _PAGE.format(Markup().join(lines))
