"""The page that shows the store, as a plugin of Airflow.

Every component of Airflow imports this, task processes too, and only the API server shows a page:
so nothing of `feature_store` is imported before the first request for it. That is also why it is a
package of its own: which `feature_store` a DAG works with is for the DAG's file to say.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

_Message = MutableMapping[str, Any]
_Application = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]


class Page:
    """The page's application, made when it is first asked for something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: _Application | None = None

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Hand a request on to it."""
        if self._app is None:
            # Not every process of Airflow that reads its plugins has it.
            import asyncio

            # Its imports take a second, in which the server has others to answer.
            await asyncio.to_thread(self._make)
        assert self._app is not None  # just made
        await self._app(scope, receive, send)

    def _make(self) -> None:
        with self._lock:
            if self._app is None:
                # Its imports take a second, which the server's start is spared.
                from feature_store.reporting.page.app import create_app

                self._app = create_app()


# Addresses without a leading slash are below Airflow's own, wherever `[api] base_url` puts it.
_LOOKS = {
    "name": "Feature store",
    "icon": "feature-store/static/icon.svg",
    "icon_dark_mode": "feature-store/static/icon-dark.svg",
}
_APPS = [{"name": "Feature store", "url_prefix": "/feature-store", "app": Page()}]
_VIEWS = [
    {
        **_LOOKS,
        "destination": "nav",
        "nav_top_level": True,
        "url_route": "feature-store",
        "href": "feature-store/",
    },
    {
        **_LOOKS,
        "destination": "dag_run",
        "url_route": "feature-store-run",
        "href": "feature-store/?dag_id={DAG_ID}&run_id={RUN_ID}",
    },
]


class FeatureStorePage(AirflowPlugin):
    """A view in the navigation, and a tab on the page of each run."""

    name = "feature_store_page"
    fastapi_apps = _APPS
    external_views = _VIEWS


INSTALLED: type[AirflowPlugin] | None = FeatureStorePage
"""What an installed package's entry point registers; nothing where a plugins folder has."""
