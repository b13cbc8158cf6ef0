"""Of which store a request is: taken out of its address, and kept until it is answered.

The store of the settings is below the page's own address; each other one below ``stores/DAG/``
there, with the same addresses.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from feature_store.declarations.store_profile import read_profile
from feature_store.errors import BadInput
from feature_store.settings import Settings

_OF_STORE = re.compile(r"/stores/(?P<dag_id>[A-Za-z0-9_.-]{1,200})(?P<rest>/.*)?", re.DOTALL)


@dataclass(frozen=True)
class PageStore:
    """A store that the page can show.

    Attributes:
        dag_id: of its DAG.
        settings: with its folder, its connection and its schedule.
        own: it is the store of the settings, below the page's own address.
    """

    dag_id: str
    settings: Settings
    own: bool

    @property
    def path(self) -> str:
        """Its address below the page's own."""
        return "" if self.own else f"stores/{self.dag_id}/"

    @property
    def title(self) -> str:
        """How people call it; the DAG's id where its folder cannot be read."""
        try:
            return read_profile(self.settings.include_dir).title
        except BadInput:
            return self.dag_id


@dataclass
class Asked:
    """What a request says of the store that it is about.

    Attributes:
        dag_id: the store's DAG, by the address, else by the question; None: it names none.
        by_address: the address itself names it.
        is_page: it asks for the page itself.
        root: the address of the page itself, of whatever store.
        store: what was found of it.
    """

    dag_id: str | None
    by_address: bool
    is_page: bool
    root: str
    store: PageStore | None = None


request: ContextVar[Asked] = ContextVar("feature_store_page_request")


def asked() -> Asked:
    """What the request says; outside of one, as if the page itself were asked."""
    return request.get(None) or Asked(None, by_address=False, is_page=True, root="")


class StorePaths:
    """Takes ``stores/DAG`` out of an address, and keeps of which store it is for the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, as one below its store's own address."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        question = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("dag_id", [None])
        found = Asked(question[0], by_address=False, is_page=path == "/", root=root)
        if match := _OF_STORE.fullmatch(path):
            dag_id = match["dag_id"]
            if not match["rest"]:  # what the page names is relative to a folder
                await RedirectResponse(f"{dag_id}/")(scope, receive, send)
                return
            found = Asked(dag_id, by_address=True, is_page=match["rest"] == "/", root=root)
            scope = {**scope, "root_path": f"{root}/stores/{dag_id}"}
        token = request.set(found)
        try:
            await self._app(scope, receive, send)
        finally:
            request.reset(token)
