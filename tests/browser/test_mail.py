"""The mails as a browser shows them, each made as it is when it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from feature_store.audit.lease import RunKey
from feature_store.declarations.store_definition import read_store
from feature_store.errors import NotReady
from feature_store.reporting.mail.airflow_facts import links
from feature_store.reporting.mail.compose import Mail, compose, compose_warnings
from feature_store.reporting.mail.good_run import review_mail
from feature_store.reporting.mail.run_facts import MailFacts, readers_have
from feature_store.reporting.run.account import Account, Cause, FailedTask
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.next_steps import next_steps
from feature_store.reporting.run.run_again import PastRun
from feature_store.settings import Settings
from feature_store.validation.history.by_day import by_day
from feature_store.validation.history.findings import AffectedDays, FindingKind, HistoryFinding
from feature_store.validation.history.row_changes import CHANGE, Difference
from tests.feature_store.reporting.mail.mails import readable

from .fit import assert_fit
from .sight import take

_RUN = RunKey("feature_store_refresh", "scheduled__2026-06-30T01:20:00+00:00")
_DAY = date(2026, 6, 30)
_MOMENT = datetime(2026, 6, 30, 1, 20, tzinfo=UTC)
_SETTINGS = replace(Settings(), links_base="https://airflow.example.org")


def opened(browser: Browser, mail: Mail, folder: Path) -> Page:
    (folder / "mail.html").write_text(mail.html)
    page = browser.new_page(viewport={"width": 800, "height": 700})
    page.goto((folder / "mail.html").as_uri())
    return page


def review(day: date, layer: str, moved: int, *rows: dict[str, Any]) -> HistoryFinding:
    """An old day of a layer of which these rows came, or changed in price."""
    changed = sum(CHANGE in row for row in rows)
    columns = ("price",) if changed else ()
    difference = Difference(len(rows) - changed, 0, changed, columns, rows)
    reaches = (AffectedDays("E", day, None, moved),)
    return HistoryFinding(
        1, FindingKind.REVIEW, layer, "ml.x", day, difference, reaches, "", _RUN, _RUN, _MOMENT,
        None, None, None, None,
    )  # fmt: skip


def review_of(*findings: HistoryFinding) -> Mail:
    return review_mail(_RUN, _DAY, _SETTINGS, by_day(findings, "listing_id"))


def test_a_review_can_be_read_by_everybody(browser: Browser, tmp_path: Path) -> None:
    came = [{"row": "came", "listing_id": n} for n in (300001187, 300001204)]
    price = {"row": "changed", "listing_id": 300001216, CHANGE: "price 6200 → 5900"}
    page = opened(
        browser,
        review_of(
            review(date(2026, 3, 26), "D3", 30, *came), review(date(2026, 3, 27), "A", 1, price)
        ),
        tmp_path,
    )
    take(page, "mail-review")
    assert_fit(page, mail=True)
    take(page, "mail-review-phone")
    page.close()


def test_a_review_of_many_days_can_be_read_by_everybody(browser: Browser, tmp_path: Path) -> None:
    came = [{"row": "came", "listing_id": 300001187 + n} for n in range(9)]
    days = [_DAY - timedelta(days=100 + n) for n in range(40)]
    page = opened(browser, review_of(*(review(day, "D3", 30, *came) for day in days)), tmp_path)
    assert_fit(page, mail=True)
    page.close()


def _all_broke(account: Account, severity: str = "critical") -> MailFacts:
    """A night in which every relation differs and every warning is given, on 25 days to review."""
    names = [str(r.name) for r in read_store(_SETTINGS.include_dir).refreshed]
    rows = tuple({"listing_id": n, "t0_day": _DAY, "ask_cnt_all": f"{n}, not 1"} for n in range(20))
    findings = tuple(
        Finding(
            "as_of_counts", name, name, how, "broken",
            f"for each t0 day, all columns of {name}, each computed by another route", "",
            breaching=20, compared=1865, sample=rows,
        )
        for how in dict.fromkeys((severity, "warning"))
        for name in names
    )  # fmt: skip
    return MailFacts(
        _RUN.dag_id,
        _RUN.run_id,
        _DAY,
        account=account,
        findings=() if account.failed else findings,
        readers=readers_have([readable(name, n < 7, _MOMENT) for n, name in enumerate(names)]),
        certified="nothing yet: no run has certified the store. require_certified raises.",
        reviews=("2026-03-01: 2 listings came late, 300001187, 300001204; this moves E on 30 days",)
        * 25,
        steps=next_steps(
            PastRun(_RUN.dag_id, _MOMENT, names, "scheduled", {}),
            account,
            findings,
            _SETTINGS.include_dir,
        ),
        section="An expectation is broken",
        links=links(_SETTINGS, _RUN.dag_id, _RUN.run_id, account),
    )


def _long_mails() -> Iterator[tuple[str, Mail]]:
    yield "all broke", compose(_all_broke(Account("Failed: as_of_counts.", kind="RunFailed")))
    lacks = [f"The role feature_store_refresher may not SELECT from ml.{n}. " * 5 for n in range(9)]
    stopped = FailedTask("prepare", Cause.of(NotReady("Not ready:", items=lacks, next_step="Do.")))
    yield "prepare", compose(_all_broke(Account(failed=(stopped,), never_ran=("base.x",))))
    warned = _all_broke(Account(), "warning")
    over = [f"{finding.relation}: {finding.expected}" for finding in warned.findings]
    yield "warnings", compose_warnings(warned, over, over, warned.steps)


@pytest.mark.parametrize("of", ["all broke", "prepare", "warnings"])
def test_a_mail_about_much_can_be_read_by_everybody(
    browser: Browser, tmp_path: Path, of: str
) -> None:
    page = opened(browser, dict(_long_mails())[of], tmp_path)
    assert_fit(page, mail=True)
    page.close()
