"""The specifications of the base relations and of spam: true stores agree, and no others do."""

from __future__ import annotations

import pytest

from feature_store.connection import one_value
from feature_store.proof.proving import compare_before_refresh, compare_stored
from feature_store.proof.result import Comparison
from tests.oracle import Sources
from tests.oracle.harness import Store, load_sources
from tests.oracle.odd_cases import PROFILES, Profile, generate
from tests.relations import D1, D2, D3, A, B, C

SPAM, TOKEN = "ml.spam_listings_v1", "ml.spam_token_v1"
BASE = (A, B, D1, D2, D3)

_FIRST = "l.listing_id, l.edited_date, l.gen"
_END = "COALESCE(o.sold_date, o.last_seen)"
_PRICE = "COALESCE(real_sold_price, sold_price) AS"
_ASKED = "(edited_date IS NOT NULL)"

MUTANTS = {
    "the latest row": (A, _FIRST, _FIRST.replace("date,", "date DESC,")),
    "NULL dates first": (A, _FIRST, _FIRST.replace("date,", "date NULLS FIRST,")),
    "the lowest price first": (A, "price DESC NULLS LAST", "price NULLS LAST"),
    "an unknown price first": (A, "price DESC NULLS LAST", "price DESC NULLS FIRST"),
    "A keeps flagged rows": (A, "(l.spam IS NULL)", "true"),
    "A drops all but flagged rows": (A, "(l.spam IS NULL)", "(l.spam IS NOT NULL)"),
    "length of the other text": (A, "COALESCE(title,", "COALESCE(description,"),
    "an unknown length": (A, "char_length(COALESCE(title, ''::text))", "char_length(title)"),
    "another column": (A, "    damage_severity_ai,", "    damage_binary_ai AS damage_severity_ai,"),
    "another price": (A, "    price,\n", "    (price + 1) AS price,\n"),
    "labels inverted": (B, "(o.sold_date IS NOT NULL)", "(o.sold_date IS NULL)"),
    "now() in labels": (B, _END, "COALESCE(o.sold_date, o.last_seen, now())"),
    "now() for the end": (B, _END, "COALESCE(o.sold_date, now())"),
    "the last sale": (B, "min(l.sold_date)", "max(l.sold_date)"),
    "the first sight": (B, "max(l.last_seen)", "min(l.last_seen)"),
    "B keeps flagged rows": (B, "(l.spam IS NULL)", "true"),
    "minutes in B": (B, "3600.0", "60.0"),
    "labels below 0": (B, "GREATEST(0.0, ", "GREATEST('-Infinity', "),
    "sales alone": (B, "= o.listing_id)", "= o.listing_id) AND (o.sold_date IS NOT NULL)"),
    "a day early": (D1, "(sold_date)::date", "((sold_date)::date - 1)"),
    "the day of the edit": (D1, "(sold_date)::date", "(edited_date)::date"),
    "minutes in D1": (D1, "3600.0", "60.0"),
    "clipped at 0": (D1, "(EXTRACT", "GREATEST(0.0, EXTRACT"),
    "D1 keeps flagged rows": (D1, "(spam IS NULL) AND ", ""),
    "one row of those alike": (D1, " SELECT listing_id", " SELECT DISTINCT listing_id"),
    "percentile 0.49": (D2, "(0.5)", "(0.49)"),
    "asks of the day before": (D2, "(edited_date)::date AS", "((edited_date)::date - 1) AS"),
    "known prices only": (D2, "count(*)", "count(price)"),
    "D2 keeps flagged rows": (D2, "(spam IS NULL) AND ", ""),
    "known cohorts only": (D2, _ASKED, f"{_ASKED} AND (generation IS NOT NULL)"),
    "price precedence": (D3, _PRICE, "COALESCE(sold_price, real_sold_price) AS"),
    "a zero is no price": (D3, _PRICE, "COALESCE(NULLIF(real_sold_price, 0), sold_price) AS"),
    "unknown storage": (D3, "(storage_gb IS NOT NULL) AND ", ""),
    "a day late": (D3, "(sold_date)::date", "((sold_date)::date + 1)"),
    "D3 keeps flagged rows": (D3, "(spam IS NULL) AND ", ""),
}  # fmt: skip

OF_VIEWS = {
    "not spam": (SPAM, "WHERE t.is_spam", "WHERE NOT t.is_spam"),
    "tokens as they are": (SPAM, "TRIM(BOTH FROM lower(l.spam))", "l.spam"),
    "blanks count": (SPAM, "TRIM(BOTH FROM lower(l.spam))", "lower(l.spam)"),
    "a token forgotten": (TOKEN, "('below13'::text,true), ", ""),
    "a token turned": (TOKEN, "('wtb'::text,true)", "('wtb'::text,false)"),
}


@pytest.fixture(scope="module")
def odd(shared_store: Store) -> Store:
    load_sources(shared_store, generate(PROFILES[0], 1))
    return shared_store


def _definition(store: Store, name: str) -> str:
    query = one_value(store.connection, "SELECT pg_get_viewdef(%s::regclass)", (name,))
    return query.rstrip(";")


def _changed(store: Store, name: str, old: str, new: str) -> str:
    definition = _definition(store, name)
    assert old in definition, definition
    return definition.replace(old, new)


def _refreshed_as(store: Store, name: str, query: str) -> Comparison:
    """What a refresh would find if the relation had this query."""
    with store.connection.transaction(force_rollback=True):
        run = store.connection.execute
        run(f"ALTER MATERIALIZED VIEW {name} RENAME TO before_it_was_changed".encode())
        run(f"CREATE MATERIALIZED VIEW {name} AS {query} WITH NO DATA".encode())
        done = compare_before_refresh(store.connection, store.files.find(name))
    assert done is not None
    return done


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_true_store_agrees_in_every_row(store: Store, profile: Profile, seed: int) -> None:
    load_sources(store, generate(profile, seed))
    for name in (*BASE, C, SPAM, TOKEN):
        rows = len(store.rows(name))
        relation = store.files.find(name)
        done = compare_stored(store.connection, relation)
        assert (done.found, done.compared, done.broken, done.sample) == (rows, rows, 0, ()), name
        assert rows, name
        before = compare_before_refresh(store.connection, relation)
        assert (before is not None) == (name in BASE)
        assert before is None or (before.found, before.broken) == (rows, 0)


def test_an_empty_store_agrees(store: Store) -> None:
    load_sources(store, Sources())
    for name in (*BASE, C, SPAM):
        done = compare_stored(store.connection, store.files.find(name))
        assert (done.compared, done.broken) == (0, 0)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_each_mistake_in_a_base_relation_is_found_before_it_is_stored(
    odd: Store, mutant: str
) -> None:
    name, old, new = MUTANTS[mutant]
    done = _refreshed_as(odd, name, _changed(odd, name, old, new))
    assert done.broken
    assert done.sample


def test_the_same_query_in_other_words_is_none(odd: Store) -> None:
    for name in BASE:
        assert (
            _refreshed_as(odd, name, f"SELECT * FROM ({_definition(odd, name)}) AS q").broken == 0
        )


@pytest.mark.parametrize("mutant", OF_VIEWS)
def test_each_mistake_about_spam_is_found(odd: Store, mutant: str) -> None:
    name, old, new = OF_VIEWS[mutant]
    with odd.connection.transaction(force_rollback=True):
        changed = _changed(odd, name, old, new)
        odd.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {changed}".encode())
        assert compare_stored(odd.connection, odd.files.find(name)).broken


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("= y.listing_id)", "= y.listing_id) AND y.sold_event"),
        ("y.duration_hours", "0.0 AS duration_hours"),
        ("f.title_length", "f.description_length AS title_length"),
        ("f.price", "NULLIF(f.price, 0) AS price"),
    ],
    ids=["listings lost", "another label", "another length", "0 made NULL"],
)  # fmt: skip
def test_each_mistake_in_the_training_base_is_found(odd: Store, old: str, new: str) -> None:
    with odd.connection.transaction(force_rollback=True):
        changed = _changed(odd, C, old, new)
        odd.connection.execute(f"ALTER MATERIALIZED VIEW {C} RENAME TO before".encode())
        odd.connection.execute(f"CREATE MATERIALIZED VIEW {C} AS {changed}".encode())
        assert compare_stored(odd.connection, odd.files.find(C)).broken
