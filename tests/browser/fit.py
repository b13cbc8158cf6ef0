"""Whether everybody can use what a browser shows: axe-core looks, and a phone cuts nothing off."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from .sight import PHONE, WIDE

# Rules that do not fit a mail: the page around the mail has the landmarks.
_OF_MAILS = {"rules": {rule: {"enabled": False} for rule in ("landmark-one-main", "region")}}


def assert_fit(page: Page, *, mail: bool = False) -> None:
    """Check a page in dark and light colours, wide and on a phone; it stays light, on a phone.

    A mail has at most two screens of a phone.
    """
    page.mouse.move(0, 0)  # an entry under the pointer dims the others
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        for width, height in (WIDE, PHONE):
            page.set_viewport_size({"width": width, "height": height})
            for _ in range(20):  # colours fade, edges and charts are drawn in the next frames
                page.wait_for_timeout(500)
                if page.evaluate("document.documentElement.scrollWidth") <= width:
                    break
            where = f"{theme}, {width} px"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, where
            found = Axe().run(page, options=_OF_MAILS if mail else {}).response["violations"]
            if mail and width == PHONE[0]:
                tall = page.evaluate("document.documentElement.scrollHeight")
                assert tall <= 2 * height, f"{where}: {tall} px, more than two screens"
            told = [f"{v['id']}: {v['help']}: {n['html'][:200]}" for v in found for n in v["nodes"]]
            assert told == [], f"{where}: {told}"
