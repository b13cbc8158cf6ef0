"""The specifications of E to E-AI: a true store agrees, and one mistake in the SQL is found."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import LiveStore
from tests.oracle import Sources
from tests.oracle.harness import load_sources
from tests.oracle.odd_cases import PROFILES, generate
from tests.relations import D4, E_AI, E_CLEAN, E_SPEED
from tests.relations import E as ENRICHED
from tests.sql.specified import ALONE, broken_by_rows, differing, differing_as

SQL = Path(__file__).parents[2] / "include" / "sql"
COHORT = "ml.tom_speed_cohort_v1"
SPAM, TOKEN = "ml.spam_listings_v1", "ml.spam_token_v1"
SPECIFIED = (ENRICHED, E_CLEAN, COHORT, D4, E_SPEED, E_AI)


def all_odd(seed: int) -> Sources:
    """All profiles in one store: full markets, with every odd row beside them."""
    sets = [generate(profile, seed) for profile in PROFILES]
    return Sources(
        *(
            tuple(
                replace(row, listing_id=10_000 * number + row.listing_id)
                for number, sources in enumerate(sets)
                for row in getattr(sources, table)
            )
            for table in ("listings", "ai", "images")
        )
    )


@pytest.fixture(scope="module")
def odd(shared_store: LiveStore) -> LiveStore:
    load_sources(shared_store, all_odd(2))
    return shared_store


def run(store: LiveStore, statement: str) -> None:
    store.connection.execute(statement.encode())


def wrong(relation: str, *mistakes: tuple[str, str]) -> str:
    """The query of a relation's file, with mistakes put into it."""
    (path,) = SQL.glob(f"[rv]*/{relation}.sql")
    text = path.read_text()
    for old, new in mistakes:
        assert old in text, old
        text = text.replace(old, new)
    return text.partition(" AS\n")[2].partition("WITH NO DATA")[0].partition(";\n")[0]


def differing_if(
    store: LiveStore, relation: str, changed: str, mistake: tuple[str, str]
) -> set[str]:
    """What would differ with a mistake in a relation's file, or in that of a view below it."""
    with store.connection.transaction(force_rollback=True):
        if changed in (COHORT, SPAM, TOKEN):
            run(store, f"CREATE OR REPLACE VIEW {changed} AS {wrong(changed, mistake)}")
        if relation == COHORT:
            return differing(store, relation)
        query = wrong(relation, *[mistake] if changed == relation else [])
        return differing_as(store, relation, query)


@pytest.mark.parametrize("seed", [2, 7])
def test_a_true_store_is_as_specified(store: LiveStore, seed: int) -> None:
    load_sources(store, all_odd(seed))
    assert {name: differing(store, name) for name in SPECIFIED} == {
        name: set() for name in SPECIFIED
    }
    assert all(store.rows(name) for name in SPECIFIED)
    assert broken_by_rows(store) == {}


def test_an_empty_store_is_as_specified(store: LiveStore) -> None:
    load_sources(store, Sources())
    assert {name: differing(store, name) for name in SPECIFIED} == {
        name: set() for name in SPECIFIED
    }


PASSED = [
    (
        "title_length",
        "    {0}.title_length,\n    {0}.description_length,",
        "    {0}.description_length AS title_length,\n    {0}.title_length AS description_length,",
    ),
    ("review_count", "    {0}.review_count,", "    coalesce({0}.review_count, 0) AS review_count,"),
]
LETTERS = {ENRICHED: "f", E_CLEAN: "e", E_SPEED: "e", E_AI: "e"}
MISTAKES = {
    ENRICHED: [
        ("anchor_14d_n", "(c.t0_day - 1, sold", "(c.t0_day, sold"),
        ("anchor_median_hours_14d", "c.t0_day - 15", "c.t0_day - 14"),
        ("anchor_14d_n", "c.t0_day - 15", "c.t0_day - 16"),
        ("sold_cnt_30d", "(c.t0_day - 1, paid", "(c.t0_day, paid"),
        ("sold_median_price_30d", "c.t0_day - 31", "c.t0_day - 30"),
        ("sold_cnt_30d", "c.t0_day - 31", "c.t0_day - 32"),
        ("anchor_median_hours_14d", "percentile_cont(0.5)", "percentile_cont(0.49)"),
        ("sold_median_price_30d", "percentile_cont(0.5)", "percentile_disc(0.5)"),
        ("anchor_14d_n", "coalesce(market.anchor_14d_n, 0)", "market.anchor_14d_n"),
        ("sold_cnt_30d", "coalesce(market.sold_cnt_30d, 0)", "market.sold_cnt_30d"),
        ("ask_cnt", "k.t0_day = ask.ask_day", "k.t0_day - 1 = ask.ask_day"),
        ("ask_median_price", "k.storage_gb = ask.storage_gb", "k.storage_gb <= ask.storage_gb"),
        (ALONE, "LEFT JOIN market ON", "INNER JOIN market ON"),
        ("ptv_sold_30d", "30d > 0 THEN f.price", "30d > 7000 THEN f.price"),
        ("ptv_ask_day", "/ market.ask_median_price END", "/ market.ask_cnt::float8 END"),
        ("delta_vs_sold_median_30d", "- market.sold_median_price_30d", "- market.ask_median_price"),
        ("delta_vs_ask_median_day", "- market.ask_median_price", "- market.sold_median_price_30d"),
        (
            "ptv_final",
            "            THEN f.price / market.sold_median_price_30d",
            "            THEN f.price / nullif(market.ask_median_price, 0)",
        ),
        ("ptv_final", "sold_cnt_30d >= 10", "sold_cnt_30d > 10"),
        ("ptv_final", "ask_cnt >= 5", "ask_cnt > 5"),
        ("ptv_final", "ask_cnt >= 5", "ask_cnt >= 4"),
    ],
    E_CLEAN: [
        (ALONE, "WHERE s.listing_id =", "WHERE e.listing_id % 8 = 0 OR s.listing_id ="),
        (ALONE, "NOT EXISTS", "EXISTS"),
        (ALONE, "s.listing_id = e.listing_id", "FALSE"),
    ],
    COHORT: [
        ("ptv_bucket", "0.80", "0.85"),
        ("ptv_bucket", "1.40", "1.25"),
        ("sbucket", "THEN 128", "THEN 129"),
        ("sbucket", ">= 120", "> 120"),
        ("sbucket", ">= 500", "> 512"),
        (ALONE, "BETWEEN 0.50 AND 2.50", "BETWEEN 0.50 AND 2.49"),
        ("t0_day", "e.edited_date::date AS", "e.edited_date::date + 1 AS"),
    ],
    D4: [
        ("max_sold_day_used", "(d.anchor_day - 1,", "(d.anchor_day,"),
        ("min_sold_day_used", "(d.anchor_day - 91,", "(d.anchor_day - 90,"),
        ("min_sold_day_used", "(d.anchor_day - 91,", "(d.anchor_day - 92,"),
        ("speed_n_eff_ptv", "/ 90.0", "/ 91.0"),
        ("sum_w", "k.weights[1 + k", "k.weights[2 + k"),
        ("speed_fast7_anchor", "<= 168", "< 168"),
        ("speed_fast24_anchor", "<= 24", "< 24"),
        ("speed_slow21_anchor", "> 504", ">= 504"),
        ("speed_slow21_anchor", "coalesce(cohort.sum_w_slow21, 0)", "cohort.sum_w_slow21"),
        ("speed_median_hours_ptv", "percentile_cont(0.5)", "percentile_cont(0.49)"),
        ("speed_n_eff_ptv", "cohort.sum_w * cohort.sum_w /", "cohort.sum_w /"),
        ("max_sold_day_used", "k.days[k.last_sale]", "k.days[k.first_sale]"),
        (ALONE, "WHERE k.first_sale <= k.last_sale", "WHERE k.first_sale < k.last_sale"),
        (ALONE, "e.edited_date IS NOT NULL", "e.edited_date::date <> '2026-01-18'"),
    ],
    E_SPEED: [
        ("speed_n_eff_ptv", "cohort.t0_day = anchor", "cohort.t0_day + 1 = anchor"),
        ("speed_fast7_anchor", "cohort.ptv_bucket = anchor", "cohort.ptv_bucket + 1 = anchor"),
        ("speed_median_hours_ptv", "cohort.sbucket = anchor", "2 * cohort.sbucket = anchor"),
        ("speed_slow21_anchor", "cohort.t0_day = anchor.anchor_day", "FALSE"),
        (ALONE, "LEFT JOIN ml.tom_speed_anchor", "INNER JOIN ml.tom_speed_anchor"),
        ("speed_fast24_anchor", "r.speed_fast24", "r.speed_fast7_anchor AS speed_fast24"),
        ("speed_slow21_anchor", "anchor.speed_slow21", "anchor.sum_w AS speed_slow21"),
    ],
    E_AI: [
        ("ai_sale_mode_obo", "coalesce(lower(ai.sale_mode), '')", "coalesce(ai.sale_mode, '')"),
        ("ai_sale_mode_obo", "lower(ai.sale_mode)", "trim(lower(ai.sale_mode))"),
        ("ai_sale_mode_firm", "= 'firm')::int", "= 'bids')::int"),
        ("ai_sale_mode_unspecified", "coalesce(lower(ai.sale_mode), '')", "lower(ai.sale_mode)"),
        ("ai_owner_private", "lower(ai.owner_type)", "trim(lower(ai.owner_type))"),
        ("ai_owner_unknown", "('private', 'work_phone')", "('private')"),
        ("ai_ship_can", "AND NOT coalesce(ai.pickup_only, FALSE)", ""),
        ("ai_ship_unspecified", "NOT coalesce(ai.can_ship, FALSE)", "ai.can_ship IS FALSE"),
        ("ai_rep_apple", "lower(ai.repair_provider)", "trim(lower(ai.repair_provider))"),
        ("ai_rep_unknown", "'authorized', 'independent'))", "'authorized'))"),
        ("ai_can_ship_bin", "coalesce(ai.can_ship, FALSE)::int", "(NOT ai.pickup_only)::int"),
        ("ai_first_owner_bin", "ai.first_owner", "ai.vat_invoice"),
        (
            "ai_used_with_case_bin",
            "ai.used_with_case_claim, FALSE",
            "ai.used_with_case_claim, TRUE",
        ),
        ("ai_negotiability_f", "ai.negotiability_ai", "ai.urgency_ai"),
        ("ai_urgency_f", "least(1, coalesce(ai.urgency_ai, 0))", "coalesce(ai.urgency_ai, 0)"),
        (
            "ai_urgency_f",
            "greatest(0, least(1, coalesce(ai.urg",
            "greatest(-1, least(1, coalesce(ai.urg",
        ),
        ("ai_lqs_textonly_f", "ai.lqs_textonly, 0)", "ai.lqs_textonly, 0.5)"),
        ("ai_opening_offer_nok_f", "greatest(0, coalesce(ai.op", "greatest(-500, coalesce(ai.op"),
        ("ai_opening_offer_ratio", "least(5.0,", "least(4.0,"),
        ("ai_opening_offer_ratio", "WHEN e.price > 0", "WHEN e.price > 1"),
        ("ai_storage_gb_fixed", "ai.storage_gb_fixed_ai", "coalesce(ai.storage_gb_fixed_ai, 0)"),
        (ALONE, "LEFT JOIN", "INNER JOIN"),
    ],
}
CASES = [
    (relation, column, old.format(letter), new.format(letter))
    for relation, letter in LETTERS.items()
    for column, old, new in PASSED
] + [(relation, *mistake) for relation, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize(("relation", "column", "old", "new"), CASES)
def test_a_mistake_in_the_sql_is_found(
    odd: LiveStore, relation: str, column: str, old: str, new: str
) -> None:
    assert column in differing_if(odd, relation, relation, (old, new))


@pytest.mark.parametrize(
    ("view", "old", "new"),
    [
        (SPAM, "WHERE t.is_spam", "WHERE NOT t.is_spam"),
        (SPAM, "WHERE t.is_spam", ""),
        (SPAM, "trim(lower(l.spam))", "lower(l.spam)"),
        (SPAM, "trim(lower(l.spam))", "trim(l.spam)"),
        (SPAM, "trim(lower(l.spam)) = t.token", "TRUE"),
        (TOKEN, "('t', TRUE)", "('t', FALSE)"),
        (TOKEN, "('below13', TRUE)", "('below13', FALSE)"),
        (TOKEN, "('no', FALSE)", "('no', TRUE)"),
        (TOKEN, "('', FALSE)", "('', TRUE)"),
    ],
)
def test_spam_let_in_and_clean_listings_thrown_out_are_found(
    odd: LiveStore, view: str, old: str, new: str
) -> None:
    assert differing_if(odd, E_CLEAN, view, (old, new)) == {ALONE}


@pytest.mark.parametrize("mistake", [("0.80", "0.85"), ("THEN 256", "THEN 128")])
@pytest.mark.parametrize("relation", [D4, E_SPEED])
def test_what_reads_wrong_cohorts_is_found_by_itself(
    odd: LiveStore, relation: str, mistake: tuple[str, str]
) -> None:
    assert differing_if(odd, relation, COHORT, mistake)
