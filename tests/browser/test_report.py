"""The report as a browser shows it: on a phone, by light and by dark."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.reporting.report.render import render_report
from feature_store.reporting.run.account import Account
from feature_store.reporting.run.facts import (
    ContractFacts,
    Finding,
    ProofFacts,
    RefreshFacts,
    RunFacts,
    RunRecord,
    SeenFacts,
)
from feature_store.settings import Settings

from .fit import assert_fit

_NOON = datetime(2026, 6, 30, 12, tzinfo=UTC)
_E = "ml.tom_features_v1_enriched_ai_clean_mv"
_WIDE_ROW = {f"a_feature_with_a_rather_long_name_{n}": "1.25, not 1.5" for n in range(12)}


@pytest.fixture
def report(tmp_path: Path) -> str:
    """The report of a failed run with everything in it, and long names."""
    run = RunFacts(
        dag_id="feature_store_refresh",
        run_id="scheduled__2026-06-30T01:20:00+00:00",
        run_type="scheduled",
        as_of_day=date(2026, 6, 30),
        zone="Europe/Oslo",
        prepared_at=_NOON,
        server_version="18.4",
        verdict="failed",
        verdict_at=_NOON,
        problem="x" * 200,
        holds_lease=False,
        event_id=1,
        verdict_event=2,
        account=Account.read(None, "x" * 200),
    )
    broken = Finding(
        "as_of_counts", _E, _E, "critical", "broken", "every row as specified", "", 1.0, 3, 1865,
        ({"listing_id": 300000001, **_WIDE_ROW},),
    )  # fmt: skip
    refreshed = RefreshFacts(
        _E, "concurrent", 28_000, 2_500_000, 1.5, _NOON, refreshed=True, reuse=""
    )
    record = RunRecord(
        run=run,
        findings=(
            broken,
            replace(broken, relation="b", outcome="error"),
            replace(broken, relation="c", severity="warning"),
        ),
        proofs=(ProofFacts(_E, 1865, 3, 0.5),),
        outdated=0,
        refreshes=((refreshed, replace(refreshed, row_count=29_000)),),
        seen=(SeenFacts(_E, "AI rows written after t0", 7, [{"listing_id": 1, **_WIDE_ROW}]),),
        skew=[{"feature_set": "tom_features_v1", **_WIDE_ROW}],
        contracts=(ContractFacts("tom_features_v1", _E, 51, "a" * 64),),
        certified="nothing yet",
        leaks=(),
        reviews=(),
        key="listing_id",
    )
    path = tmp_path / "report.html"
    path.write_text(render_report(record, read_exceptions(Settings().include_dir), ["uniqueness"]))
    return path.as_uri()


def test_everybody_can_use_it(browser: Browser, report: str) -> None:
    page = browser.new_page()
    page.goto(report)
    assert_fit(page)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, report: str, theme) -> None:
    """Tables scroll in frames of their own."""
    page = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme=theme)
    page.goto(report)
    assert page.evaluate("document.documentElement.scrollWidth") == 380
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[theme]
    line = page.locator(".spark path").last.evaluate("e => getComputedStyle(e).stroke")
    assert line == {"light": "rgb(31, 78, 121)", "dark": "rgb(121, 184, 255)"}[theme]
    page.close()
