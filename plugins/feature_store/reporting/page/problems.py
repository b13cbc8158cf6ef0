"""Why a request has no answer, in words; what only the operator may know goes to the log."""

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
from feature_store.reporting.page.models import Problem

log = logging.getLogger(__name__)

_SAID = {
    401: Problem(
        problem="Nobody is logged in, or the login is no longer valid.",
        next_step="Log in to Airflow again, or send a new token: Authorization: Bearer …",
    ),
    403: Problem(
        problem="You may not read the DAG of this store, so you may not see the store.",
        next_step="Ask whoever gives out permissions in Airflow.",
    ),
    404: Problem(problem="There is nothing at this address."),
    405: Problem(problem="This page is only read: it knows GET and HEAD alone."),
}
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    405: {"Allow": "GET, HEAD"},
}
_RETRY = {"Retry-After": "5"}
# Without styles or scripts, which belong to the page that there is no answer with.
_PAGE = Markup(
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
    'content="light dark"><title>Feature store</title></head><body><h1>Feature store</h1>{}</body>'
    "</html>\n"
)
_LINE = Markup("<p>{}</p>")
_LOGIN = Markup('<p><a href="{}" target="_top">Log in again</a></p>')


class NotFound(Exception):
    """What was asked for is not there.

    Attributes:
        problem: what is not there.
        next_step: where to look instead.
    """

    def __init__(self, problem: str, next_step: str = "") -> None:
        self.problem = problem
        self.next_step = next_step
        super().__init__(problem)


class Busy(Exception):
    """Too many ask at once; a moment later there may be an answer.

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
        request, 422, Problem(problem=f"The address cannot be used. {'; '.join(wrong)}.")
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
        # The error names host and login, which not everybody who may look needs to know.
        return _unavailable(
            request,
            "The feature store's database cannot be reached, or refuses the API server's login.",
            "See whether the database is up; the API server's log says what it answered.",
        )
    if isinstance(error, NotReady):
        return _unavailable(request, error.problem, error.next_step or "")
    if isinstance(error, BadInput):
        return _unavailable(
            request,
            "The API server's settings, or the files of the package, cannot be used, "
            "so the store cannot be asked.",
            "The API server's log says what is wrong. Most often it lacks the connection "
            "feature_store: docs/page.md.",
        )
    return _unavailable(request, "The store cannot be asked.", "See the API server's log.")


def _database(request: Request, error: Exception) -> Response:
    log.warning("The page has no answer from the database: %s", error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _unavailable(
            request,
            "The API server's login may not read the record of the feature store's runs.",
            "Run what `bin/feature-store grants` prints, and give the API server the role of the "
            "page: docs/page.md.",
        )
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
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
        "The feature store's database broke off, or could not answer.",
        "Try again; the API server's log says what it answered.",
    )


def _unexpected(request: Request, _: Exception) -> Response:
    """Our own mistake: answered outside of all that adds headers, then raised again for the log."""
    problem = Problem(
        problem="The page has made a mistake.",
        readers="are not touched by this: it is the page alone that has no answer.",
        next_step="See the API server's log, which names it.",
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
            readers="have what they had, if the database answers them: the page only looks.",
            next_step=next_step,
        ),
        headers,
    )


def _answer(
    request: Request, status: int, problem: Problem, headers: dict[str, str] | None = None
) -> Response:
    """As JSON, or as a page for a browser that was led to the address itself."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_as_page(request, status, problem), status, headers)
    return JSONResponse(problem.model_dump(), status, headers)


def _as_page(request: Request, status: int, problem: Problem) -> str:
    readers = problem.readers and f"Readers {problem.readers}"
    texts = (problem.problem, readers, problem.next_step)
    lines = [_LINE.format(text) for text in texts if text]
    if status == 401:
        # The page itself is one step below Airflow.
        airflow = request.scope.get("root_path", "").rpartition("/")[0] + "/"
        lines.append(_LOGIN.format(airflow))
    return _PAGE.format(Markup().join(lines))
