"""Views of the page without an Airflow: the answers of its API are given here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.conftest import ROOT

STATIC = ROOT / "plugins/feature_store/reporting/page/static"
_EMPTY = "<!doctype html><title>x</title><p id=status></p>"
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
_PROFILE = {
    "of": None, "rows": None, "bins": [], "months": [], "nights": [], "samples": [],
    "samples_grant": "",
}  # fmt: skip
_GRAPH = """async (now) => {
    const { storeGraph } = await import('/static/relations.js');
    document.body.append(...storeGraph(now, new AbortController().signal).filter(Boolean));
}"""


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    """A window in which views are shown."""
    opened = browser.new_page()
    yield opened
    opened.close()


@pytest.fixture
def text_of(window: Page) -> Callable[..., str]:
    """Show a view of these answers; gives all its text."""

    def show(file: str, answers: dict[str, Any], **asked: str) -> str:
        def answer(route: Route) -> None:
            path = route.request.url.removeprefix("http://store.test/").partition("?")[0]
            if path.startswith("static/"):
                route.fulfill(path=STATIC / path.removeprefix("static/"))
            elif path.startswith("api/"):
                route.fulfill(json=answers[path.removeprefix("api/")])
            else:
                route.fulfill(body=_EMPTY, content_type="text/html")

        window.route("http://store.test/**", answer)
        window.goto("http://store.test/")
        return str(window.evaluate(_SHOWN, [file, asked]))

    return show


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


def _catalogue(*features: dict[str, Any], null_rows: int | None = 0) -> dict[str, Any]:
    told = [_FEATURE | {"exceptions": [], "is_key": False} | feature for feature in features]
    trends = [
        {"feature_set": "tom", "name": f["name"], "nulls": [0.5], "null_rows": null_rows,
         "drift": [], "usual": None, "drift_stamp": None, "drifted": False}
        for f in told
    ]  # fmt: skip
    return {
        "features": {
            "sets": [{"name": "tom", "relation": "ml.x", "entity": "listing_id"}],
            "features": told, "exceptions": [], "badges": {},
        },
        "profiles": {"since": "2026-06-01", "sets": [], "served": [], "features": trends},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("null_rows", "counted", "row", "fact"),
    [
        (0, [(10, 3), (10, 0)], "int4, never NULL", "no: the latest run found none"),
        (
            33,
            [(10, 0), (100, 33)],
            "NULL in 33 rows, though the contract says never.",
            "yes: in 33 rows of the latest run",
        ),
        (None, [], "int4", "no, says the contract; no run has counted yet"),
    ],
)
def test_never_null_is_said_only_where_the_last_run_found_none(
    text_of, window, null_rows, counted, row, fact
) -> None:
    required = {"is_nullable": False}
    text_of("features", _catalogue(required, null_rows=null_rows))
    found = window.get_by_role("row", name="price")
    expect(found).to_contain_text(row)
    if null_rows != 0:
        expect(found).not_to_contain_text("never NULL")
    answers = {
        "features/tom/price": _TOLD | {"nulls": _counted(*counted), "feature": _FEATURE | required},
        "features/tom/price/profile": _PROFILE,
    }
    assert f"May be NULL{fact}" in text_of("feature", answers, set="tom", name="price")


def test_features_are_found_by_owner_and_by_tag(text_of, window) -> None:
    text_of(
        "features",
        _catalogue(
            {"name": "price", "owner": "ann", "tags": ["price"]},
            {"name": "ask_cnt", "owner": "bob", "tags": ["asks", "price"]},
            {"name": "model", "owner": "bob", "tags": []},
        ),
    )
    names = window.locator("tbody a")
    window.get_by_label("Owner").select_option("bob")
    expect(names).to_have_text(["ask_cnt", "model"])
    window.get_by_label("Tag").select_option("price")
    expect(names).to_have_text(["ask_cnt"])
    window.get_by_label("Owner").select_option("")
    expect(names).to_have_text(["price", "ask_cnt"])


def test_values_that_the_login_may_not_read_are_not_silently_absent(text_of, window) -> None:
    answers = {
        "features/tom/price": _TOLD | {"nulls": []},
        "features/tom/price/profile": _PROFILE | {"samples_grant": "GRANT SELECT ON x TO y;"},
    }
    text = text_of("feature", answers, set="tom", name="price")
    assert "The page's login may not read them." in text
    assert "GRANT SELECT ON x TO y;" in text
    text_of("features", _catalogue({}))
    expect(window.locator("body")).to_contain_text("bin/feature-store served tom shows the same")


def test_the_chosen_relation_keeps_what_it_is_made_of_and_what_is_made_of_it(
    text_of, window
) -> None:
    def relation(name: str, level: int, *reads: str) -> dict[str, Any]:
        return {
            "name": f"ml.{name}", "label": name.upper(), "level": level, "reads": list(reads),
            "state": "certified", "state_words": "", "stands_on": [], "rows": 1, "bytes": None,
            "refreshed_at": None, "seconds": None, "what": "", "grain": "", "mode": "concurrent",
            "layer": "read", "run_id": None, "dag_id": None, "reused": "",
        }  # fmt: skip

    text_of("runs", {"runs": {"zone": "UTC", "runs": [], "more": False}})
    relations = [
        relation("a", 1, "web.ads"), relation("b", 2, "ml.a"), relation("c", 3, "ml.b"),
        relation("other", 1, "web.ads"),
    ]  # fmt: skip
    window.add_style_tag(path=STATIC / "page.css")
    window.evaluate(_GRAPH, {"sources": ["web.ads"], "relations": relations, "contracts": []})
    card = window.get_by_role("button", name=re.compile("^B"))
    card.click()
    lit = window.locator(".place.lit .name")
    family = ["web.ads", "ml.a", "ml.b", "ml.c"]
    expect(window.locator("#relation-detail")).to_contain_text("down to the sourcesA, web.ads")
    expect(window.locator("#relation-detail")).to_contain_text("All that is made of itC")
    window.mouse.move(0, 0)
    window.evaluate("document.activeElement.blur()")
    assert lit.all_inner_texts() == family
    expect(window.locator(".graph-inner")).to_have_class("graph-inner chosen")
    window.get_by_role("button", name=re.compile("^OTHER")).hover()
    assert lit.all_inner_texts() == ["web.ads", "ml.other"]
    window.mouse.move(0, 0)
    assert lit.all_inner_texts() == family
    card.click()
    window.evaluate("document.activeElement.blur()")
    window.mouse.move(0, 0)
    expect(window.locator(".graph-inner")).to_have_class("graph-inner")
