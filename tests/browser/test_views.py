"""Views of the page without an Airflow: the answers of its API are given here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from tests.conftest import ROOT

STATIC = ROOT / "plugins/feature_store/reporting/page/static"
_SHOWN = """async ([file, asked]) => {
    const view = await import(`/static/${file}.js`);
    const shown = await view.show(asked, new AbortController().signal, () => {});
    document.body.append(...shown.flat(Infinity).filter(Boolean));
    return document.body.textContent;
}"""
_FEATURE = {
    "name": "price", "description": "What is asked", "feature_set": "tom", "ordinal": 1,
    "dtype": "int4", "owner": "", "tags": [], "is_nullable": True, "leakage_rule": "",
    "badge": "as_of",
}  # fmt: skip
_TOLD = {
    "zone": "UTC", "feature": _FEATURE, "badge_words": "", "comment": "", "relation": "ml.x",
    "exceptions": [], "lineage": None, "skew": [],
}  # fmt: skip
_PROFILE = {"of": None, "rows": None, "bins": [], "months": [], "nights": [], "samples": []}


@pytest.fixture
def text_of(browser: Browser) -> Iterator[Callable[..., str]]:
    """Show a view of these answers; gives all its text."""
    window = browser.new_page()

    def show(file: str, answers: dict[str, Any], **asked: str) -> str:
        def answer(route: Route) -> None:
            path = route.request.url.removeprefix("http://store.test/").partition("?")[0]
            if path.startswith("static/"):
                route.fulfill(path=STATIC / path.removeprefix("static/"))
            elif path.startswith("api/"):
                route.fulfill(json=answers[path.removeprefix("api/")])
            else:
                route.fulfill(body="<!doctype html><title>x</title>", content_type="text/html")

        window.route("http://store.test/**", answer)
        window.goto("http://store.test/")
        return str(window.evaluate(_SHOWN, [file, asked]))

    yield show
    window.close()


def _counted(*rows_and_nulls: tuple[int, int]) -> list[dict[str, Any]]:
    return [
        {"dag_id": "d", "run_id": f"r{day}", "as_of_day": f"2026-06-{day:02}",
         "prepared_at": f"2026-06-{day:02}T03:20:00Z", "rows": rows, "nulls": nulls}
        for day, (rows, nulls) in enumerate(rows_and_nulls, start=1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ([(0, 0)], "1 run counted, and the set had no rows"),
        ([(0, 0), (0, 0)], "2 runs counted, and the set had no rows"),
        (
            [(10, 5), (10, 1)],
            "10.0\u00a0% of the rows have no price in the latest run. Over 2 runs",
        ),
        ([(10, 1), (0, 0)], "no price in the latest run that found any. Over 1 run: at least 10.0"),
    ],
)
def test_a_set_that_was_empty_has_no_share_of_nulls(text_of, counted, words) -> None:
    answers = {
        "features/tom/price": _TOLD | {"nulls": _counted(*counted)},
        "features/tom/price/profile": _PROFILE,
    }
    text = text_of("feature", answers, set="tom", name="price")
    assert words in text
    assert "Infinity" not in text
    assert "NaN" not in text


def test_the_calendar_ends_with_the_newest_night_not_with_that_of_the_last_run(text_of) -> None:
    """A backfill came last."""
    run = {
        "dag_id": "d", "run_type": "manual", "verdict": "passed", "problem": None, "met": 1,
        "warnings": 0, "broken": 0, "errors": 0, "verdict_at": "2026-06-30T04:00:00Z",
        "prepared_at": "2026-06-30T03:20:00Z",
    }  # fmt: skip
    days = ["2026-06-29", "2026-06-30", "2026-05-01"]
    nights = {
        "zone": "UTC", "since": "2026-04-01", "until": "2026-06-30", "relations": [],
        "findings": [], "runs": [run | {"run_id": day, "as_of_day": day} for day in days],
    }  # fmt: skip
    text = text_of("nights", {"nights": nights})
    assert "3 runs in 91 nights: none failed" in text
    assert "Nights from 2026-04-01 to 2026-06-30: 3 passed." in text
    assert "2026-04-01 to 2026-06-30" in text
