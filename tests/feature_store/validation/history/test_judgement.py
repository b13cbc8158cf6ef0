"""History: what moves is either settling, or a review for a person, or a leak.

Five phones of one cohort are listed on 1 March, so that they have an ask median and stand in the
speed cohort; one of them is sold on 5 March. Another is listed on 10 March, and one on 20 June.
The runs answer for 30 June: days before 31 May are settled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest

from feature_store.audit.lease import Lease, RunKey
from feature_store.errors import BadInput, LeaseTaken, NotChecked
from feature_store.reporting.history_text import history_text
from feature_store.schema.applied_definitions import record
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.privileges.audit_privileges import access_problems
from feature_store.schema.store_objects import store_objects
from feature_store.validation.history.acceptance import accept_history
from feature_store.validation.history.by_day import by_day
from feature_store.validation.history.findings import pending_reviews
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.history.mailed_reviews import unmailed_reviews
from feature_store.validation.history.result import HistoryResult, assert_history
from sandbox.roles import grant_roles
from tests.feature_store.validation.history.nights import Nights, named, noon, phone, quiet

AS_OF = date(2026, 6, 30)
MARCH_1, MARCH_5, MARCH_10 = date(2026, 3, 1), date(2026, 3, 5), date(2026, 3, 10)
_numbers = itertools.count(1)
LAYERS = ("A", "AI", "D1", "D1 by cohort", "D2", "D3", "D4", "E", "F0", "F2", "device counts")


def _market() -> list[dict[str, object]]:
    return [
        phone(1, "03-01", sold_date=noon("03-05"), sold_price=9000),
        *(phone(number, "03-01") for number in range(2, 6)),
        phone(6, "03-10"),
        phone(7, "06-20"),
    ]


@pytest.fixture(scope="module")
def first_night(server, store_files, settings) -> HistoryResult:
    """What the first night found; its store is the database ``history_market``."""
    first = Nights(server.create_database("history_market", "store"), store_files, settings)
    first.listings = _market()
    verdict = first.night(AS_OF)
    first.connection.close()
    return verdict


@pytest.fixture
def nights(server, first_night, store_files, settings) -> Iterator[Nights]:
    """The store after its first night, at which it got its baseline."""
    name = f"history_{next(_numbers)}"
    running = Nights(server.create_database(name, "history_market"), store_files, settings)
    running.listings = _market()
    running.runs = 1
    yield running
    running.connection.close()
    server.drop_database(name)


def test_the_first_run_sets_the_baseline_and_finds_nothing(nights, first_night):
    verdict = first_night
    assert sorted(verdict.first) == sorted(LAYERS)
    assert quiet(verdict)
    assert not nights.exceptions()
    assert nights.settled_before() == date(2026, 5, 31)
    assert_history(verdict)
    baseline = nights.rows(
        "SELECT layer, row_count, run_id FROM feature_store_audit.history_day WHERE day = %s "
        "ORDER BY layer",
        MARCH_1,
    )
    assert baseline == [
        (layer, n, "night 1")
        for layer, n in (("A", 5), ("AI", 5), ("D2", 1), ("E", 5), ("F0", 5), ("device counts", 1))
    ]


def test_a_night_on_which_nothing_happens_finds_nothing_and_writes_nothing(nights):
    before = nights.kept()
    verdict = nights.night(AS_OF)
    assert quiet(verdict)
    assert (verdict.first, nights.exceptions()) == ((), ())
    after = nights.kept()
    assert len(after.pop("judgement")) == len(before.pop("judgement")) + 1
    assert after == before


def test_a_young_input_day_just_moves_on(nights):
    nights.find(7)["price"] = 8000
    verdict = nights.night(AS_OF)
    assert quiet(verdict)
    moved = nights.rows(
        "SELECT layer FROM feature_store_audit.history_day WHERE run_id = 'night 2' "
        "AND day = '2026-06-20' ORDER BY layer"
    )
    assert moved == [("A",), ("D2",), ("E",)]
    assert not nights.night(AS_OF).reviews


@pytest.mark.parametrize(("day", "old"), [("05-30", True), ("05-31", False)])
def test_the_settling_window_ends_with_the_day_thirty_days_before(nights, day, old):
    nights.listings.append(phone(8, day))
    verdict = nights.night(AS_OF)
    assert {f.layer for f in verdict.reviews} == (
        {"A", "D2", "F0", "device counts"} if old else set()
    )


def test_an_old_price_that_was_edited_is_reviewed(nights):
    nights.find(6)["price"] = 8000
    verdict = nights.night(AS_OF)
    assert named(verdict.reviews) == {
        "A 2026-03-10 +0 -0 ~1 price",
        "D2 2026-03-10 +0 -0 ~1 ask_median_price",
    }
    assert_history(verdict)
    review = verdict.reviews[0]
    assert review.difference.examples == (
        {"row": "changed", "listing_id": 6, "change": "price 10000 → 8000"},
    )
    assert [str(r) for r in review.reaches] == [
        "D4 of 2026-03-11 and later (0 days moved)",
        "E of 2026-03-10 to 2026-03-10 (1 day moved)",
    ]


def test_a_sale_of_sixty_days_ago_is_reviewed(nights):
    nights.listings.append(phone(8, "05-02"))  # sees the sale for three weeks
    nights.night(AS_OF)
    accept_history(nights.connection, date(2026, 5, 2), "late listing", "ann")
    nights.find(6).update(sold_date=noon("05-01"), sold_price=9500)
    verdict = nights.night(AS_OF)
    assert named(verdict.reviews) == {"D1 2026-05-01 +1 -0 ~0", "D3 2026-05-01 +1 -0 ~0"}
    by_layer = {f.layer: f for f in verdict.reviews}
    assert by_layer["D1"].difference.examples == (
        {
            "row": "came",
            "listing_id": 6,
            "generation": 15,
            "storage_gb": 128,
            "duration_hours": 1248,
        },
    )
    assert [str(r) for r in by_layer["D3"].reaches] == [
        "D4 of 2026-05-03 and later (0 days moved)",
        "E of 2026-05-02 to 2026-05-31 (1 day moved)",
    ]
    assert not verdict.leaks


def test_a_late_flag_on_an_old_listing_is_reviewed(nights):
    """Listing 2 leaves 1 March. Four asks are too few for a ratio, so its cohort goes, too."""
    nights.find(2)["spam"] = "spam"
    verdict = nights.night(AS_OF)
    assert named(verdict.reviews) == {
        "A 2026-03-01 +0 -1 ~0",
        "D2 2026-03-01 +0 -0 ~1 ask_cnt",
        "F0 2026-03-01 +0 -1 ~0",
        "device counts 2026-03-01 +0 -0 ~1 n",
    }
    reached = {(f.layer, r.output): r.moved for f in verdict.reviews for r in f.reaches}
    assert reached["A", "E"] == 1
    assert reached["A", "D4"] == 1, "the sale of 5 March has no cohort any more"
    assert reached["device counts", "F2"] == 2, "10 March and 20 June"
    assert not verdict.leaks


def test_a_review_waits_and_is_not_told_twice(nights):
    nights.find(6)["price"] = 8000
    assert len(nights.night(AS_OF).reviews) == 2
    nights.mail_what_is_pending()
    before = nights.kept()
    assert len(nights.night(AS_OF).reviews) == 2
    assert unmailed_reviews(nights.connection).reviews == ()
    assert {k: v for k, v in nights.kept().items() if k != "judgement"} == {
        k: v for k, v in before.items() if k != "judgement"
    }


def test_a_change_on_top_of_a_review_updates_it_against_the_baseline(nights):
    nights.find(2)["price"] = 10100
    nights.night(AS_OF)
    nights.find(2)["price"] = 10200
    nights.find(3)["location_city"] = "Oslo"
    nights.listings.append(phone(8, "03-01"))
    verdict = nights.night(AS_OF)
    (review,) = [f for f in verdict.reviews if f.layer == "A"]
    assert named([review]) == {"A 2026-03-01 +1 -0 ~2 price location_city"}
    assert (review.found_by.run_id, review.latest.run_id) == ("night 2", "night 3")
    assert not verdict.leaks


def test_a_change_that_is_undone_closes_its_review(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.find(6)["price"] = 10000
    verdict = nights.night(AS_OF)
    assert quiet(verdict)
    outcomes = nights.rows("SELECT DISTINCT outcome FROM feature_store_audit.history_finding")
    assert outcomes == [("undone",)]
    assert nights.kept()["change"] == []


def test_a_person_accepts_a_day_with_a_reason_and_it_is_kept(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    accepted = accept_history(nights.connection, MARCH_10, "the site mended its prices", "ann")
    assert [(f.layer, f.outcome, f.closed_by, f.reason) for f in accepted] == [
        ("A", "accepted", "ann", "the site mended its prices"),
        ("D2", "accepted", "ann", "the site mended its prices"),
    ]
    assert all(f.closed_at and f.latest.run_id == "night 2" for f in accepted)
    verdict = nights.night(AS_OF)
    assert quiet(verdict)
    nights.find(6)["location_city"] = "Oslo"  # compared with the accepted day
    assert named(nights.night(AS_OF).reviews) == {"A 2026-03-10 +0 -0 ~1 location_city"}
    assert "the site mended its prices" in history_text(nights.connection, "listing_id")


def test_one_layer_alone_can_be_accepted(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    assert len(accept_history(nights.connection, MARCH_10, "seen", "ann", layer="D2")) == 1
    assert [f.layer for f in pending_reviews(nights.connection)] == ["A"]


@pytest.mark.parametrize(
    ("day", "reason", "by", "layer", "words"),
    [
        (MARCH_1, "seen", "ann", None, "Nothing is pending for 2026-03-01. Pending: 2026-03-10"),
        (MARCH_10, "seen", "ann", "E", "Nothing of E is pending for 2026-03-10"),
        (MARCH_10, "  ", "ann", None, "needs a reason"),
        (MARCH_10, "seen", "", None, "a name"),
    ],
)
def test_an_acceptance_that_says_too_little_is_refused(nights, day, reason, by, layer, words):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    with pytest.raises(BadInput, match=words):
        accept_history(nights.connection, day, reason, by, layer)
    assert len(pending_reviews(nights.connection)) == 2


def test_an_acceptance_that_finds_other_rows_in_the_baseline_than_it_must_is_refused(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.connection.execute(
        "DELETE FROM feature_store_audit.history_row WHERE layer = 'A' AND day = %s", (MARCH_10,)
    )
    with pytest.raises(psycopg.errors.RaiseException, match="are not in the baseline of A"):
        accept_history(nights.connection, MARCH_10, "late", "ann")
    assert pending_reviews(nights.connection) != ()


def test_a_backfill_accepts_exactly_its_days(nights):
    for listing in (2, 6):
        nights.find(listing)["postal_code"] = "0001"
    nights.night(AS_OF)
    accepted = nights.backfill(MARCH_10)
    assert [(f.layer, f.day) for f in accepted] == [("A", MARCH_10)]
    assert accepted[0].reason == "backfill: tests, run backfill of 2026-03-10"
    assert [f.day for f in pending_reviews(nights.connection)] == [MARCH_1]
    assert nights.backfill(MARCH_10) == ()
    assert nights.backfill(date(2026, 3, 11)) == ()


def test_a_backfill_of_the_past_makes_no_later_day_young(nights):
    nights.find(6)["price"] = 8000
    verdict = nights.night(date(2026, 3, 12))
    assert nights.settled_before() == date(2026, 5, 31)
    assert len(verdict.reviews) == 2


def test_a_run_of_a_day_that_has_not_come_makes_no_day_old(nights):
    """Airflow's clock was ahead once. The store's clock is not asked, as it may be wrong, too."""
    nights.connection.execute(
        "INSERT INTO feature_store_audit.history_judgement_log "
        "(dag_id, run_id, as_of_day, settled_before, days, seconds) "
        "VALUES ('tests', 'ahead', %s, '2000-01-01', 0, 0)",
        (AS_OF + timedelta(days=9),),
    )
    layers, lease = list(nights.layers.values()), nights.lease("today")
    judge_history(nights.connection, layers, lease, AS_OF, nights.settings, AS_OF)
    assert nights.settled_before() == date(2026, 5, 31)


def test_a_day_that_is_gone_and_a_day_that_is_new_are_reviewed(nights):
    nights.find(6)["edited_date"] = noon("03-12")
    verdict = nights.night(AS_OF)
    assert {"A 2026-03-10 +0 -1 ~0", "A 2026-03-12 +1 -0 ~0"} <= named(verdict.reviews)
    assert not verdict.leaks, "E, D4 and F2 lose one day and gain another, with A and the counts"
    for day in (MARCH_10, date(2026, 3, 12)):
        accept_history(nights.connection, day, "moved", "ann")
    verdict = nights.night(AS_OF)
    assert quiet(verdict)


def test_ai_columns_are_reported_and_never_pending(nights):
    nights.ai = [{"listing_id": 2, "sale_mode": "firm"}]
    verdict = nights.night(AS_OF)
    assert named(nights.exceptions()) == {
        "AI 2026-03-01 +0 -0 ~1 ai_sale_mode_firm ai_sale_mode_unspecified"
    }
    assert quiet(verdict)
    nights.night(AS_OF)
    assert not nights.exceptions()


def test_a_new_segment_moves_no_past_day(nights):
    before = nights.fingerprints(date(2026, 6, 19))
    nights.listings.append(phone(8, "06-20", model="iPhone 15 Pro", generation=14))
    nights.night(AS_OF)
    assert nights.fingerprints(date(2026, 6, 19)) == before
    rows = nights.rows(
        "SELECT count(*) FROM feature_store.device_meta_gmc_stats_t0_v1_mv WHERE t0_day = %s",
        MARCH_10,
    )
    assert rows == [(44,)], "the grid of 10 March has the new segment's rows all the same"


def test_a_review_that_was_mailed_and_changes_again_is_told_again(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.mail_what_is_pending()
    nights.find(6)["price"] = 8001
    nights.night(AS_OF)
    assert [(r.layer, r.day) for r in unmailed_reviews(nights.connection).reviews] == [
        ("A", MARCH_10),
        ("D2", MARCH_10),
    ]


def test_a_run_that_is_cleared_and_run_again_has_nothing_more_to_mail(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.mail_what_is_pending()
    assert len(nights.judge(nights.lease("night 2"), AS_OF).reviews) == 2
    assert unmailed_reviews(nights.connection).reviews == ()


def test_a_review_whose_mail_did_not_go_out_waits_for_the_next(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    told = unmailed_reviews(nights.connection).reviews
    nights.night(AS_OF)
    assert unmailed_reviews(nights.connection).reviews == told


def test_a_judgement_of_the_same_run_says_the_same_again(nights):
    nights.find(6)["price"] = 8000
    nights.ai = [{"listing_id": 2, "sale_mode": "firm"}]
    first = nights.night(AS_OF)
    exceptions = nights.exceptions()
    again = nights.judge(nights.lease("night 2"), AS_OF)
    for name in ("leaks", "reviews", "definition_changes"):
        assert getattr(again, name) == getattr(first, name), name
    assert first.reviews
    assert exceptions
    assert nights.exceptions() == exceptions


def test_a_judgement_that_dies_leaves_no_trace(nights):
    nights.find(6)["price"] = 8000
    nights.find(7)["price"] = 8000
    before = nights.kept()
    table = "feature_store_audit.history_judgement_log"  # the last table that a judgement writes to
    nights.connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT dies CHECK (FALSE) NOT VALID")
    with pytest.raises(psycopg.errors.CheckViolation):
        nights.night(AS_OF)
    assert nights.kept() == before
    nights.connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT dies")
    assert len(nights.judge(nights.lease("night 2"), AS_OF).reviews) == 2


def test_a_judgement_without_the_lease_is_refused(nights):
    with pytest.raises(LeaseTaken):
        nights.judge(Lease(RunKey("tests", "night 0"), 0), AS_OF)


def test_outputs_are_not_held_to_inputs_that_they_have_not_seen(nights):
    lease = nights.lease("half a night")
    nights.refresh(lease, only={"ml.sold_durations_v1_mv"})
    with pytest.raises(
        NotChecked, match=r"enriched_mv was last refreshed before ml.sold_durations"
    ):
        nights.judge(lease, AS_OF)


def test_a_later_refresh_that_left_the_rows_as_they_were_read_is_nothing_new(nights):
    lease = nights.lease("half a night")
    nights.refresh(lease, only={"ml.tom_features_v1_enriched_mv"})
    assert nights.judge(lease, AS_OF).leaks == ()


def test_a_store_that_was_never_refreshed_is_not_judged(store_database, store_files, settings):
    empty = Nights(store_database, store_files, settings)
    with pytest.raises(NotChecked, match=r"tom_features_v1_mv has never been refreshed"):
        empty.judge(empty.lease("night 1"), AS_OF)
    empty.connection.close()


def test_another_zone_is_another_definition(nights, settings):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.use(nights.files, replace(settings, zone="Pacific/Kiritimati"))
    nights.find(1)["edited_date"] = noon("03-04") + timedelta(hours=6)
    verdict = nights.night(AS_OF)
    assert {f.layer for f in verdict.definition_changes} == set(LAYERS)
    assert "the zone" in verdict.definition_changes[0].details
    assert (verdict.reviews, verdict.leaks, verdict.first) == ((), (), ())
    outcomes = nights.rows(
        "SELECT DISTINCT outcome FROM feature_store_audit.history_finding WHERE kind = 'review'"
    )
    assert outcomes == [("redefined",)]
    assert not nights.night(AS_OF).definition_changes


def test_a_review_that_a_new_definition_closes_is_told_once(nights, settings):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.mail_what_is_pending()
    nights.use(nights.files, replace(settings, zone="Pacific/Kiritimati"))
    verdict = nights.night(AS_OF)
    (a,) = [f for f in verdict.definition_changes if f.layer == "A"]
    assert "This closed reviews without an answer: 2026-03-10." in a.details
    found = unmailed_reviews(nights.connection)
    assert found.reviews == ()
    assert {(f.layer, f.day) for f in found.unanswered} == {("A", MARCH_10), ("D2", MARCH_10)}
    line = "2026-03-10: 1 listing changed in price, 6 (price 10000 → 8000); this moves E on 1 day"
    assert list(by_day(found.unanswered, "listing_id").values()) == [line]
    assert (
        f"Closed without an answer, because a definition changed: 2\n  - {line}"
    ) in history_text(nights.connection, "listing_id")
    nights.mail_what_is_pending()
    assert unmailed_reviews(nights.connection).unanswered == ()


def test_a_baseline_of_before_gets_the_values_that_its_rows_still_have(nights):
    nights.connection.execute("UPDATE feature_store_audit.history_row SET said = NULL")
    nights.connection.execute("UPDATE feature_store_audit.history_layer SET said_kept = FALSE")
    nights.night(AS_OF)
    kept = nights.rows(
        "SELECT layer, count(*) FILTER (WHERE said IS NULL) FROM feature_store_audit.history_row "
        "GROUP BY layer ORDER BY layer"
    )
    assert [layer for layer, lacking in kept if not lacking] == ["A", "D2", "F0", "device counts"]
    nights.find(6)["price"] = None
    nights.find(6)["title"] = "A" * 50
    nights.night(AS_OF)
    told = by_day(pending_reviews(nights.connection), "listing_id")[MARCH_10]
    assert f"6 (price 10000 → NULL, title NULL → {'A' * 40}…)" in told


def test_the_plan_says_which_reviews_replacing_an_ancestor_would_close(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    plan = make_plan(
        nights.connection, nights.files, nights.settings.include_dir, ["ml.tom_features_v1_mv"]
    )
    assert plan.reviews == ("review of A, 2026-03-10",)
    assert "Pending reviews that the next run will close without an answer" in str(plan)


def test_the_plan_says_which_reviews_adopting_an_altered_relation_anew_would_close(nights):
    """What its owner changed is recorded anew, so history begins again."""
    things = store_objects(nights.files, nights.settings.include_dir)
    (a,) = [thing for thing in things if thing.label == "ml.tom_features_v1_mv"]
    record(nights.connection, a, adopted=True)
    nights.night(AS_OF)
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    nights.connection.execute("DROP INDEX ml.tfeat_v1_dt_idx")
    nights.connection.execute("CREATE INDEX tfeat_v1_dt_idx ON ml.tom_features_v1_mv (edited_date)")
    plan = make_plan(nights.connection, nights.files, nights.settings.include_dir)
    assert [c.thing.label for c in plan.adopts] == ["ml.tom_features_v1_mv"]
    assert plan.reviews == ("review of A, 2026-03-10",)
    nights.apply()
    assert "This closed reviews" in nights.night(AS_OF).definition_changes[0].details


def test_a_day_is_told_in_one_line(nights):
    nights.listings.append(phone(8, "03-10"))
    nights.find(6)["price"] = 8000
    nights.listings.remove(nights.find(2))
    nights.night(AS_OF)
    assert by_day(pending_reviews(nights.connection), "listing_id") == {
        MARCH_1: "2026-03-01: 1 listing went, 2; this moves D4 on 1 day, E on 1 day, F2 on 1 day",
        MARCH_10: "2026-03-10: 1 listing came late, 8; 1 listing changed in price, 6 "
        "(price 10000 → 8000); this moves E on 1 day",
    }
    text = history_text(nights.connection, "listing_id")
    assert "  - 2026-03-10: 1 listing came late, 8; 1 listing changed in price, 6" in text


def test_an_open_finding_is_listed_with_what_is_needed_to_answer_it(nights):
    nights.find(6)["price"] = 8000
    nights.night(AS_OF)
    text = history_text(nights.connection, "listing_id")
    assert (
        "A (ml.tom_features_v1_mv) of 2026-03-10: 0 rows came, 0 went, 1 changed in price" in text
    )
    assert "changed: listing_id 6: price 10000 → 8000" in text
    assert "accept-history --day 2026-03-10" in text


def test_the_privileges_that_prepare_asks_for_are_enough(nights, new_role):
    role = new_role()
    grant_roles(nights.connection.info.dsn, owner="postgres", refresher=role)
    nights.find(6)["price"] = 8000
    nights.find(7)["price"] = 8000
    nights.load()
    lease = nights.lease("night 2")
    nights.refresh(lease)
    nights.connection.execute(f"SET ROLE {role}".encode())
    assert access_problems(nights.connection, nights.files.profile.governed_schemas) == []
    assert len(nights.judge(lease, AS_OF).reviews) == 2
    nights.connection.execute("RESET ROLE")
    accept_history(nights.connection, MARCH_10, "seen", "ann")
    nights.connection.execute(f"SET ROLE {role}".encode())
    assert quiet(nights.judge(lease, AS_OF))
    assert "by ann" in history_text(nights.connection, "listing_id")
