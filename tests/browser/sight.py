"""A browser window on Airflow: what it shows, and what went wrong in it."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, FrameLocator, Page, Request, expect

WIDE = (1280, 800)
PHONE = (375, 800)
_PATIENCE = 60_000  # milliseconds; the machine may have other work


def take(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep a picture of a page, where BROWSER_PICTURES names a folder."""
    folder = os.environ.get("BROWSER_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)


class Sight:
    """One window.

    Attributes:
        complaints: errors of scripts, and what the browser refused because of a policy.
        strangers: addresses on other hosts that something asked for.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        size: tuple[int, int] = WIDE,
        theme: Literal["light", "dark"] = "light",
    ) -> None:
        """Open the window, with no page in it yet."""
        self._address = address
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme
        )
        self._context.set_default_timeout(_PATIENCE)
        self.page = self._context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._context.on("request", self._asked)

    def __enter__(self) -> Sight:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()

    def resize(self, size: tuple[int, int]) -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def log_in(self) -> None:
        """Pass Airflow's login, where everybody is an administrator here."""
        self.page.goto(f"{self._address}/")
        self.page.get_by_role("link", name="Dags").first.wait_for()

    def open(self, path: str = "") -> None:
        """Open the page in Airflow's shell, by its address there."""
        self.log_in()
        self.page.goto(f"{self._address}/plugin/feature-store{path}")

    def open_alone(self, path: str = "") -> None:
        """Open the page by itself."""
        self.log_in()
        self.page.goto(f"{self._address}/feature-store/{path}")

    def open_run(self, run_id: str) -> None:
        """Open the run's page in Airflow, with our tab in front."""
        self.log_in()
        run = f"dags/feature_store_refresh/runs/{quote(run_id, safe='')}"
        self.page.goto(f"{self._address}/{run}/plugin/feature-store-run")

    @property
    def frame(self) -> FrameLocator:
        """The page within the shell."""
        return self.page.frame_locator('iframe[title="Feature store"]')

    def scripts(self, expression: str) -> Any:
        """Evaluate an expression in the page, within the shell or alone."""
        frame = next(
            f for f in self.page.frames if "/feature-store/" in f.url and "/plugin/" not in f.url
        )
        return frame.evaluate(expression)

    def go(self, fragment: str, heading: str | None = None) -> None:
        """Go to another view, and wait until it is there."""
        self.scripts(f"() => {{ location.hash = {fragment!r}; }}")
        if heading:
            expect(self.frame.get_by_role("heading", level=2)).to_have_text(heading)

    def settle(self) -> None:
        """Wait until the page is read and its charts are drawn."""
        self.frame.locator("#view:not([aria-busy]) h2").wait_for()
        # Not until the network is idle: the shell around it asks again and again.
        expect(self.frame.locator(".chart:not(:has(canvas))")).to_have_count(0)
        self.page.wait_for_timeout(400)  # edges and charts are drawn in the next frames

    def take(self, name: str, *, whole: bool = False) -> None:
        """Keep a picture of it, where BROWSER_PICTURES names a folder."""
        take(self.page, f"page-{name}", whole=whole)

    def assert_unharmed(self) -> None:
        assert self.complaints == []
        assert self.strangers == [], "the page may ask nobody but Airflow"

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme in ("http", "https") and asked.netloc != urlsplit(self._address).netloc:
            self.strangers.append(request.url)
