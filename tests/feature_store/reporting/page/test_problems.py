"""How the page says that it has no answer where it did not expect to have none."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from feature_store.reporting.page.headers import PAGE, SafeHeaders
from feature_store.reporting.page.problems import add_handlers
from tests.feature_store.reporting.page.conftest import SECRET


def test_a_mistake_of_ours_is_answered_in_words_that_tell_nothing_and_safely():
    app = FastAPI()
    add_handlers(app)
    app.add_middleware(SafeHeaders)

    @app.get("/")
    def broken() -> None:
        raise RuntimeError(SECRET)

    answer = _ask(app)
    assert answer.status_code == 500
    assert answer.json()["problem"] == "The page has failed: this is an error of its own."
    assert SECRET not in answer.text
    assert answer.headers["content-security-policy"] == PAGE
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "asked", ["SELECT FROM no_table", "SELECT no_column FROM pg_class", "SELECT no_function()"]
)
def test_a_record_that_lacks_what_the_page_asks_for_is_called_old(scratch, asked):
    """As after new files and before `apply`."""
    app = FastAPI()
    add_handlers(app)

    @app.get("/")
    def ask() -> None:
        scratch.run(asked)

    answer = _ask(app)
    assert answer.json()["problem"].endswith("is older than this page.")
    assert "bin/feature-store apply" in answer.text


def _ask(app: FastAPI) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/")

    return asyncio.run(get())
