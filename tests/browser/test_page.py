"""The page in a real browser, from an empty store to a database that is down.

The tests build on each other's states, in this order, on one Airflow: starting one takes a while.
"""

from __future__ import annotations

import json
import re
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect
from psycopg import sql

from sandbox.mailbox import Mailbox

from .conftest import PageAirflow
from .fit import assert_fit
from .sight import WIDE, Sight, take
from .years import find, write_years

# The first test waits until Airflow has started and has run a night.
pytestmark = pytest.mark.timeout(900)
DAG = "feature_store_refresh"
MARKUP = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"
VIEWS = {
    "now": "#now",
    "nights": "#nights",
    "features": "#features",
    "feature": "#features/tom_features_v1/ptv_final",
    "runs": "#runs",
}
PROFILE = "#features/tom_features_v1/price"


def verdict(sight: Sight) -> str:
    return sight.frame.locator(".standing").first.inner_text()


def test_an_empty_store_says_so_and_what_to_do(sight: Sight) -> None:
    sight.open()
    sight.settle()
    assert verdict(sight) == "Empty"
    assert sight.frame.locator(".command code").first.inner_text() == f"airflow dags unpause {DAG}"
    sight.take("empty")
    sight.open_alone()
    stands(sight.page)
    assert_fit(sight.page)
    sight.resize(WIDE)
    sight.open()
    sight.settle()

    sight.go(VIEWS["nights"], "Over time")
    expect(sight.frame.get_by_text("No old day has changed in this span.")).to_be_visible()
    expect(sight.frame.get_by_text("No refresh in this span, so no line to draw.")).to_be_visible()
    sight.go(VIEWS["feature"], "ptv_final")
    expect(sight.frame.get_by_text("No run has counted them yet.")).to_be_visible()
    sight.go(VIEWS["runs"], "Runs")
    expect(sight.frame.get_by_text("No run yet.")).to_be_visible()


@pytest.fixture(scope="module")
def night(airflow: PageAirflow, page_database: str) -> str:
    """A real night, after two years of others; its run."""
    airflow.unpause()
    assert len(airflow.runs_soon()) == 1
    run_id = next(iter(airflow.runs()))
    assert airflow.wait_for_run(run_id) == "success", airflow.logs()
    with psycopg.connect(page_database, autocommit=True) as session:
        write_years(session)
    return run_id


def test_the_entry_in_the_navigation_leads_to_the_verdict(sight: Sight, night: str) -> None:
    sight.log_in()
    sight.page.get_by_role("link", name="Feature store").click()
    sight.settle()
    assert verdict(sight) == "Certified"
    expect(sight.frame.get_by_role("heading", level=2)).to_contain_text("Fresh and certified")
    assert sight.frame.locator(".card.relation .label").all_inner_texts().count("E-clean") == 1
    sight.take("now")


def test_edges_are_drawn_from_card_to_card_and_again_when_the_window_changes(
    sight: Sight, night: str
) -> None:
    sight.open()
    sight.settle()
    paths = "[...document.querySelectorAll('.wires path')].map(p => p.getAttribute('d'))"
    wide = sight.scripts(paths)
    assert len(wide) > 25
    assert all(re.match(r"M[\d.]+ [\d.]+C", d) for d in wide)
    sight.resize((1700, 900))
    sight.settle()
    assert sight.scripts(paths) != wide


def test_pointing_at_a_card_shows_where_it_comes_from_and_choosing_it_tells_more(
    sight: Sight, night: str
) -> None:
    sight.open()
    sight.settle()
    card = sight.frame.get_by_role("button", name=re.compile(r"^E-clean"))
    card.hover()
    lit = sight.frame.locator(".place.lit").all_inner_texts()
    assert any(text.startswith("A\n") for text in lit)
    assert not any(text.startswith("C\n") for text in lit)
    card.click()
    assert card.get_attribute("aria-expanded") == "true"
    details = sight.frame.locator("#relation-detail")
    expect(details).to_contain_text("ml.tom_features_v1_enriched_clean_mv")
    expect(details.get_by_role("link", name=night)).to_be_visible()
    details.get_by_text("SQL", exact=True).click()
    expect(details).to_contain_text("CREATE MATERIALIZED VIEW")


def test_the_tab_on_the_page_of_a_run_shows_that_run(sight: Sight, night: str) -> None:
    sight.open_run(night)
    sight.settle()
    expect(sight.frame.get_by_role("heading", level=2)).to_contain_text("The run of")
    expect(sight.frame.get_by_role("table", name="Tasks of this run")).to_contain_text("prepare")
    sight.take("run")


def test_a_link_to_a_task_leads_the_shell_there(sight: Sight, night: str) -> None:
    sight.open_run(night)
    sight.settle()
    sight.frame.get_by_role("link", name="assert_contract").click()
    sight.page.wait_for_url("**/tasks/assert_contract**")
    expect(sight.page.get_by_role("link", name="Feature store").first).to_be_visible()


def test_a_run_that_the_store_does_not_know_gets_words(sight: Sight, night: str) -> None:
    sight.open_alone(f"?dag_id={DAG}&run_id=nobody")
    expect(sight.page.get_by_role("alert")).to_contain_text("nobody")
    expect(sight.page.get_by_role("heading", level=2)).to_have_text("Not found")
    # The browser itself notes the 404, and nothing else may have gone wrong.
    assert [c for c in sight.complaints if "404" not in c] == []
    sight.complaints.clear()


def test_the_report_is_framed_and_opens_by_itself(sight: Sight, night: str) -> None:
    sight.open_run(night)
    sight.settle()
    sight.frame.get_by_text("The whole report, here").click()
    report = sight.frame.frame_locator('iframe[title="The report of this run"]')
    expect(report.get_by_role("heading", level=1)).to_be_visible()
    with sight.page.expect_popup() as opened:
        sight.frame.get_by_role("link", name="Open the report by itself").click()
    expect(opened.value.get_by_role("heading", level=1)).to_be_visible()


def test_two_years_are_drawn_and_told(sight: Sight, night: str) -> None:
    sight.open()
    sight.settle()
    sight.go(VIEWS["nights"], "Over time")
    sight.frame.get_by_role("radio", name="two years").check()
    expect(sight.frame.locator(".lead")).to_contain_text("728 runs")
    sight.settle()
    drawn = """[...document.querySelectorAll('.chart')].filter(
        chart => [...chart.querySelectorAll('canvas')].some(canvas => canvas.getContext('2d')
            .getImageData(0, 0, canvas.width, canvas.height).data.some(value => value !== 0))
    ).length"""
    assert sight.scripts(drawn) == sight.frame.locator(".chart").count() > 30
    sight.resize((WIDE[0], 2000))
    sight.settle()
    sight.take("nights")
    sight.frame.get_by_text("Nights, as a table").click()
    assert sight.frame.get_by_role("table", name="Nights").locator("tbody tr").count() > 720
    told = sight.frame.locator(".chart").evaluate_all("all => all.map(c => c.ariaLabel)")
    assert all(len(words) > 20 for words in told)


def test_a_night_of_the_calendar_opens_its_run(sight: Sight, night: str) -> None:
    sight.open()
    sight.settle()
    sight.go(VIEWS["nights"], "Over time")
    sight.settle()
    calendar = sight.frame.locator(".calendars .chart").first
    box = calendar.bounding_box()
    assert box is not None
    calendar.click(position={"x": 200, "y": 60})
    expect(sight.frame.get_by_role("heading", level=2)).to_contain_text("The run of")


def test_a_feature_is_found_and_traced_to_the_sources(sight: Sight, night: str) -> None:
    sight.open()
    sight.settle()
    sight.go("#features/tom_features_v1", "Features")
    sight.frame.get_by_label("Filter").fill("ptv_final")
    sight.frame.get_by_role("link", name="ptv_final").click()
    expect(sight.frame.get_by_role("heading", level=2)).to_have_text("ptv_final")
    sight.settle()
    assert sight.frame.locator(".card.column.source").count() > 0
    assert sight.frame.locator(".card.column.itself").count() == 1
    expect(sight.frame.get_by_text("Same-day ask median")).to_be_visible()
    sight.take("feature")


def test_the_catalogue_is_filtered_and_a_listing_looked_up_as_it_was_served(
    sight: Sight, night: str, page_database: str
) -> None:
    with psycopg.connect(page_database) as session:
        listing = str(
            session.execute("SELECT min(listing_id) FROM feature_log.tom_features_v1").fetchone()[0]
        )
    sight.open()
    sight.settle()
    sight.go("#features/iphone_device_meta_encoded_v2_model", "Features")
    keys = sight.frame.get_by_role("table", name="Keys of")
    expect(keys.get_by_role("link", name="listing_id")).to_be_visible()
    sight.go("#features/tom_features_v1", "Features")
    chart = sight.frame.get_by_role("img", name=re.compile(r"^price: .* without a value"))
    expect(chart).to_be_visible()
    sight.take("catalogue")
    sight.frame.get_by_label("What it knows").select_option("same-day")
    expect(sight.frame.get_by_text("5 features of 51.")).to_be_visible()
    expect(sight.frame.get_by_role("link", name="title_length")).to_have_count(0)
    sight.frame.get_by_label("What it knows").select_option("")

    sight.frame.get_by_label("listing_id").fill(listing)
    sight.frame.get_by_role("button", name="Look up").click()
    beside = sight.frame.get_by_role("table", name=f"Features of {listing}")
    expect(beside).to_contain_text("title_length")


def test_what_a_feature_looks_like_is_drawn_and_can_be_read(sight: Sight, night: str) -> None:
    sight.open()
    sight.settle()
    sight.go("#features/tom_features_v1/price", "price")
    sight.settle()
    expect(sight.frame.get_by_role("table", name="Distribution of price")).to_be_visible()
    expect(sight.frame.get_by_text("assert_feature_contract('tom_features_v1')")).to_be_visible()
    expect(sight.frame.get_by_text("from feature_store.client import")).to_be_visible()
    expect(sight.frame.get_by_role("table", name="Values of price")).to_be_visible()
    sight.take("profile", whole=True)


def test_it_is_dark_as_soon_as_the_shell_is(sight: Sight, night: str) -> None:
    sight.open()
    sight.settle()
    background = "getComputedStyle(document.body).backgroundColor"
    assert sight.scripts(background) == "rgb(255, 255, 255)"
    sight.page.evaluate("localStorage.setItem('theme', 'dark')")
    sight.page.evaluate(
        "dispatchEvent(new StorageEvent('storage', { key: 'theme', newValue: 'dark' }))"
    )
    sight.page.wait_for_function("document.documentElement.classList.contains('dark')")
    white = "rgb(255, 255, 255)"
    expect(sight.frame.locator("body")).not_to_have_css("background-color", white)
    sight.settle()
    sight.take("dark")
    sight.go(VIEWS["nights"], "Over time")
    sight.settle()
    sight.take("dark-nights")


@pytest.mark.parametrize("name", [*VIEWS, "profile", "relation", "run"])
def test_everybody_can_use_each_view_by_light_and_dark_and_on_a_phone(
    sight: Sight, night: str, name: str
) -> None:
    run = f"?dag_id={DAG}&run_id={quote(night, safe='')}"
    sight.open_alone({**VIEWS, "run": run, "relation": "#now"}.get(name, PROFILE))
    stands(sight.page)
    if name == "relation":
        sight.page.get_by_role("button", name=re.compile(r"^E-clean")).click()
        sight.page.get_by_text("SQL", exact=True).click()
        expect(sight.page.get_by_text("CREATE MATERIALIZED VIEW")).to_be_visible()
    assert_fit(sight.page)
    sight.take(f"phone-{name}")


def stands(page: Page) -> None:
    """Wait until a view that is open by itself is read, and its charts are drawn."""
    page.locator("#view:not([aria-busy]) h2").wait_for()
    page.wait_for_load_state("networkidle")


def test_a_keyboard_reaches_everything(sight: Sight, night: str) -> None:
    sight.open_alone()
    page = sight.page
    page.locator("#view:not([aria-busy]) h2").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tab-now"
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", level=2)).to_have_text("Over time")
    assert page.evaluate("document.activeElement.id") == "tab-nights", "a tab keeps the focus"
    page.keyboard.press("Home")
    expect(page.locator("#verdict")).to_be_visible()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className"))
        if "relation" in reached[-1]:
            break
    assert "relation" in reached[-1], reached
    page.keyboard.press("Enter")
    expect(page.locator("#relation-detail h4")).to_be_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus can be seen"


@pytest.fixture(scope="module")
def reviewed(airflow: PageAirflow, night: str, page_database: str) -> None:
    """The night has found that old days have changed."""
    with psycopg.connect(page_database, autocommit=True) as session:
        find(session, "reviews")


def test_a_review_can_be_decided_on_the_page(sight: Sight, reviewed: None) -> None:
    sight.open()
    sight.settle()
    assert verdict(sight) == "For review"
    frame = sight.frame
    expect(frame.get_by_role("heading", name="For review: 2 old days changed")).to_be_visible()
    expect(
        frame.get_by_text("1 listing changed in price, 300001216 (price 6200 → 5900)")
    ).to_be_visible()
    expect(frame.get_by_text("this moves E on 30 days")).to_be_visible()
    command = frame.locator(".command code", has_text="accept-history").first
    assert command.inner_text().endswith("--reason '…'"), "refused until somebody has said why"
    sight.take("review")
    sight.open_alone()
    stands(sight.page)
    assert_fit(sight.page)


@pytest.fixture(scope="module")
def failed_night(airflow: PageAirflow, reviewed: None, page_database: str) -> str:
    """A run that really failed, for an AI row that is there twice."""
    with psycopg.connect(page_database, autocommit=True) as session:
        session.execute(
            'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey'
        )
        session.execute(
            'INSERT INTO "iPhone".iphone_ai_enrich SELECT a.* FROM "iPhone".iphone_ai_enrich AS a '
            "INNER JOIN ml.tom_features_v1_enriched_ai_clean_mv AS e USING (listing_id) "
            "WHERE a.storage_gb_fixed_ai IS NULL LIMIT 1"
        )
        airflow.trigger("manual__failed_night")
        assert airflow.wait_for_run("manual__failed_night") == "failed"
        find(session, "leak")
    return "manual__failed_night"


def test_a_failed_night_is_told_first(sight: Sight, failed_night: str) -> None:
    sight.open()
    sight.settle()
    assert verdict(sight) == "Failed"
    expect(sight.frame.get_by_role("heading", name="1 old day moved without cause")).to_be_visible()
    accept = sight.frame.get_by_text("bin/feature-store accept-history").first
    expect(accept).to_contain_text("--layer E")
    sight.take("failed")
    sight.open_alone()
    stands(sight.page)
    assert_fit(sight.page)
    sight.take("phone")
    sight.open_alone(f"?dag_id={DAG}&run_id={failed_night}")
    stands(sight.page)
    assert_fit(sight.page)
    sight.take("phone-failed-run")
    sight.resize(WIDE)
    sight.open()
    sight.settle()
    sight.go(VIEWS["nights"], "Over time")
    sight.settle()
    expect(sight.frame.get_by_text("1 leak, 2 changes wait for a person")).to_be_visible()
    sight.take("past")


def test_html_in_the_data_stays_text(sight: Sight, failed_night: str, page_database: str) -> None:
    sight.open_run(failed_night)
    sight.settle()
    expect(sight.frame.get_by_role("heading", name="What to do")).to_be_visible()
    sight.take("failed-run")
    # As if an expectation had shown titles, too.
    row = json.dumps([{"listing_id": 4711, "title": MARKUP}])
    with psycopg.connect(page_database, autocommit=True) as session:
        done = session.execute(
            "UPDATE feature_store_audit.expectation_log AS e SET sample = e.sample || %s::jsonb, "
            "observed = e.observed || %s FROM feature_store_audit.suite_log AS s "
            "WHERE e.suite_event = s.event_id AND s.run_id = %s AND e.outcome = 'broken' "
            "AND e.severity = 'critical'",
            (row, MARKUP, failed_night),
        )
    assert done.rowcount > 0
    sight.frame.get_by_role("button", name="Read again").click()
    expect(sight.frame.get_by_role("cell", name=MARKUP)).to_be_visible()
    assert sight.scripts("window.hurt") is None
    assert sight.scripts("document.querySelectorAll('#view img, #view script').length") == 0


def test_its_mail_can_be_read_by_everybody(
    browser: Browser, mailbox: Mailbox, failed_night: str, tmp_path: Path
) -> None:
    mails = [message_from_bytes(m.read_bytes(), policy=policy.default) for m in mailbox.mails()]
    parts = [part.get_content() for mail in mails if (part := mail.get_body(("html",)))]
    (html,) = [part for part in parts if failed_night in part]
    (tmp_path / "mail.html").write_text(html)
    page = browser.new_page(viewport={"width": 800, "height": 900})
    page.goto((tmp_path / "mail.html").as_uri())
    take(page, "mail-failed")
    page.emulate_media(color_scheme="dark")
    take(page, "mail-failed-dark")
    assert_fit(page, mail=True)
    take(page, "mail-failed-phone")
    page.close()


def test_a_database_that_is_down_is_told_and_asked_again(
    sight: Sight, failed_night: str, server_conninfo: str, page_database: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(page_database)["dbname"]
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(server_conninfo, autocommit=True) as administrator:
        try:
            administrator.execute(allow.format(sql.Identifier(str(name)), sql.SQL("false")))
            sight.open()
            told = sight.frame.get_by_role("alert")
            expect(told).to_contain_text("The store cannot be read")
            assert "password" not in told.inner_text()
            sight.take("down")
        finally:
            administrator.execute(allow.format(sql.Identifier(str(name)), sql.SQL("true")))
    sight.frame.get_by_role("button", name="Try again").click()
    expect(sight.frame.locator(".standing")).to_have_text("Failed")
    # The browser itself notes the 503, and nothing else may have gone wrong.
    assert [c for c in sight.complaints if "503" not in c] == []
    sight.complaints.clear()
