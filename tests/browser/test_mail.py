"""The mail of a review as a browser shows it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from playwright.sync_api import Browser

from feature_store.reporting.mail.compose import compose_review
from feature_store.reporting.mail.run_facts import MailFacts
from feature_store.reporting.run.next_steps import Step
from feature_store.validation.history.acceptance import acceptance

from .fit import assert_fit
from .sight import take

_DAYS = {
    date(2026, 3, 26): "2 listings came late, 300001187, 300001204; it moves E on 30 days",
    date(
        2026, 3, 27
    ): "1 listing changed in price, 300001216 (price 6200 → 5900); it moves E on 1 day",
}


def test_a_review_can_be_read_by_everybody(browser: Browser, tmp_path: Path) -> None:
    mail = compose_review(
        MailFacts(
            "feature_store_refresh",
            "scheduled__2026-06-30T01:20:00+00:00",
            date(2026, 6, 30),
            section="Old days changed, for review",
            links=(("The run", "https://airflow.example/run"),),
        ),
        list(_DAYS),
        [f"{day}: {words}" for day, words in _DAYS.items()],
        [
            Step("This shows what is pending, layer by layer:", "bin/feature-store history"),
            *(
                Step(f"If {day} is right as it is now, accept it:", acceptance(day))
                for day in _DAYS
            ),
        ],
    )
    (tmp_path / "mail.html").write_text(mail.html)
    page = browser.new_page(viewport={"width": 800, "height": 700})
    page.goto((tmp_path / "mail.html").as_uri())
    take(page, "mail-review")
    assert_fit(page, mail=True)
    take(page, "mail-review-phone")
    page.close()
