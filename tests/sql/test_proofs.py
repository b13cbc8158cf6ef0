"""Every proof of as_of_counts: silent on a true store, and red for exactly the row that is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from psycopg.rows import dict_row

from feature_store.declarations.proofs import read_proofs
from feature_store.settings import Settings
from tests.oracle import Sources
from tests.oracle.harness import D1, D4, F1, F2, Store, at, load, load_sources
from tests.oracle.harness import E as ENRICHED
from tests.oracle.odd_cases import PROFILES, Profile, generate

PROOFS = {proof.name: proof for proof in read_proofs(Settings().include_dir)}
PRIOR_COUNTS = f"{F2}.prior_counts"
ANCHORS = f"{ENRICHED}.anchors"
OWN_SALE = f"{ENRICHED}.own_sale"
SUMS = f"{D4}.sums"
EMBARGO = f"{D4}.embargo"
STRICT = (PRIOR_COUNTS, ANCHORS, SUMS, EMBARGO)

F2_KEY = ("t0_day", "gen_key", "model_variant", "color_bucket")
D4_KEY = ("anchor_day", "generation", "sbucket", "ptv_bucket")


class Found(NamedTuple):
    """What a proof says."""

    compared: int
    broken: int
    sample: list[dict[str, dict[str, Any]]]

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        return [tuple(row["key"].values()) for row in self.sample]


def prove(store: Store, name: str) -> Found:
    rows = store.connection.execute(PROOFS[name].query.encode()).fetchall()
    assert len(rows) == 1
    return Found(*rows[0])


@contextmanager
def replaced(store: Store, relation: str, query: str | None = None) -> Iterator[None]:
    """A table in the place of a materialized view, for the time of a transaction.

    Views that read the relation go on reading the original.
    """
    schema, name = relation.split(".")
    with store.connection.transaction(force_rollback=True):
        run(store, f"ALTER MATERIALIZED VIEW {relation} RENAME TO original")
        run(store, f"CREATE TABLE {schema}.{name} AS {query or f'SELECT * FROM {schema}.original'}")
        yield


def run(store: Store, statement: str) -> int:
    return store.connection.execute(statement.encode()).rowcount


def first(store: Store, relation: str, where: str, order: tuple[str, ...]) -> dict[str, Any]:
    """The first row for which something holds."""
    with store.connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"SELECT * FROM {relation} WHERE {where} ORDER BY {', '.join(order)}".encode()
        ).fetchone()
    assert row is not None, f"{relation} has no row where {where}"
    return row


def where_key(row: dict[str, Any], key: tuple[str, ...]) -> str:
    return " AND ".join(f"{name} = '{row[name]}'" for name in key)


def as_json(row: dict[str, Any], key: tuple[str, ...]) -> tuple[Any, ...]:
    """A row's key as a sample shows it."""
    values = (row[name] for name in key)
    return tuple(v.isoformat() if hasattr(v, "isoformat") else v for v in values)


def definition(store: Store, relation: str, old: str, new: str) -> str:
    """A materialized view's query with one thing changed."""
    row = store.connection.execute(
        "SELECT pg_get_viewdef(%s::regclass)::text", (relation,)
    ).fetchone()
    assert row is not None
    assert old in row[0], row[0]
    return str(row[0]).rstrip(";").replace(old, new)


@pytest.fixture
def full(store: Store) -> Store:
    """A store with many sales in few cohorts."""
    load_sources(store, generate(PROFILES[1], 1))
    return store


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_true_store_passes_every_proof(store: Store, profile: Profile, seed: int) -> None:
    load_sources(store, generate(profile, seed))
    for name in STRICT:
        rows = len(store.rows(PROOFS[name].relation))
        assert prove(store, name) == (rows, 0, []), name
        assert rows


@pytest.mark.parametrize("name", sorted(PROOFS))
def test_an_empty_store_compares_nothing(store: Store, name: str) -> None:
    load_sources(store, Sources())
    assert prove(store, name) == (0, 0, [])


@pytest.mark.parametrize(
    "unknown", [("edited_date",), ("generation",), ("edited_date", "generation")], ids=str
)
def test_listings_that_are_in_no_count_leave_nothing_to_compare(
    store: Store, unknown: tuple[str, ...]
) -> None:
    phone = {"generation": 15, "edited_date": at("2026-03-10 12:00"), "price": 8000}
    rows = [phone | dict.fromkeys(unknown) | {"listing_id": number} for number in range(3)]
    store.load(listings=rows)
    store.refresh()
    assert len(store.rows(F1)) == 3
    assert prove(store, PRIOR_COUNTS) == (0, 0, [])


def test_days_that_were_counted_nowhere_are_named(full: Store) -> None:
    """The other route reads the same counts as F2: without them both agree on nothing."""
    days = {row["t0_day"] for row in full.rows(F1)} - {None}
    counts = "feature_store.device_count_day_v1_mv"
    for lost, left in ((counts, None), (counts, "gen_key IS NULL")):
        with full.connection.transaction(force_rollback=True):
            for name, kept in ((F2, None), (lost, left)):
                schema, bare = name.split(".")
                run(full, f"ALTER MATERIALIZED VIEW {name} RENAME TO kept_{bare}")
                run(
                    full,
                    f"CREATE TABLE {name} AS SELECT * FROM {schema}.kept_{bare} "
                    f"WHERE {kept or 'FALSE'}",
                )
            found = prove(full, PRIOR_COUNTS)
        assert found[:2] == (0, len(days))
        assert [row["key"] for row in found.sample] == [{"t0_day": str(d)} for d in sorted(days)]


def test_daily_counts_with_unknown_keys_survive_concurrent_refreshes(store: Store) -> None:
    """A NULL key equals no other row's, so these rows are replaced each time: once, not twice."""
    counts = "feature_store.device_count_day_v1_mv"
    for seed in (1, 1, 2):
        load_sources(store, generate(PROFILES[0], seed))
        wrong = store.connection.execute(
            f"(SELECT t0_day, gen_key, model_variant, color_bucket, n FROM {counts}) EXCEPT ALL "
            "(SELECT t0_day, gen_key, model_variant, color_bucket, count(*) "
            "FROM feature_store.v_device_meta_base_t0_v1 GROUP BY 1, 2, 3, 4)".encode()
        ).fetchall()
        rows = store.rows(counts)
        assert not wrong
        assert any(row["gen_key"] is None for row in rows)
        assert any(row["t0_day"] is None for row in rows)
        assert sum(row["n"] for row in rows) == len(store.rows(F1))


def test_what_arrives_after_the_refresh_breaks_no_proof(full: Store) -> None:
    """A sale, a flag and a missing image: proofs read what the refresh saw."""
    assert run(full, "DELETE FROM feature_store.device_image_features_unified_v1")
    assert run(full, """UPDATE "iPhone".iphone_listings SET sold_date = now(), spam = 'junk'""")
    for name in STRICT:
        assert prove(full, name).broken == 0, name


@pytest.mark.parametrize("column", ["gmc_seg_n", "gmc_color_n_in_seg", "gmc_color_n_global"])
def test_a_count_off_by_one_in_a_single_row(full: Store, column: str) -> None:
    row = first(full, F2, f"{column} > 0", F2_KEY)
    with replaced(full, F2):
        change = f"UPDATE {F2} SET {column} = {column} + 1 WHERE {where_key(row, F2_KEY)}"
        assert run(full, change) == 1
        found = prove(full, PRIOR_COUNTS)
    assert found.broken == 1
    [sample] = found.sample
    assert tuple(sample["key"][name] for name in F2_KEY) == as_json(row, F2_KEY)
    assert sample["expected"][column] == row[column]
    assert sample["observed"][column] == row[column] + 1


@pytest.mark.parametrize(
    ("relation", "key", "column", "proof"),
    [
        (F2, F2_KEY, "gmc_seg_share", PRIOR_COUNTS),
        (F2, F2_KEY, "gmc_color_share_in_seg", PRIOR_COUNTS),
        (F2, F2_KEY, "gmc_color_share_global", PRIOR_COUNTS),
        (D4, D4_KEY, "sum_w", SUMS),
        (D4, D4_KEY, "speed_fast7_anchor", SUMS),
        (D4, D4_KEY, "speed_fast24_anchor", SUMS),
        (D4, D4_KEY, "speed_slow21_anchor", SUMS),
        (D4, D4_KEY, "speed_n_eff_ptv", SUMS),
    ],
)
@pytest.mark.parametrize("change", ["{} * (1 + 1e-8)", "{} * (1 - 1e-8)", "'NaN'", "NULL"])
def test_a_float_that_is_a_little_off(
    full: Store, relation: str, key: tuple[str, ...], column: str, proof: str, change: str
) -> None:
    row = first(full, relation, f"{column} > 0", key)
    with replaced(full, relation):
        value = change.format(column)
        update = f"UPDATE {relation} SET {column} = {value} WHERE {where_key(row, key)}"
        assert run(full, update) == 1
        found = prove(full, proof)
    assert found.broken == 1
    assert [found.sample[0]["key"][name] for name in key] == list(as_json(row, key))


@pytest.mark.parametrize("relation", [F2, D4])
def test_a_row_that_is_missing_and_one_too_many(full: Store, relation: str) -> None:
    key, proof = {F2: (F2_KEY, PRIOR_COUNTS), D4: (D4_KEY, SUMS)}[relation]
    rows = len(full.rows(relation))
    row = first(full, relation, "TRUE", key)
    with replaced(full, relation):
        assert run(full, f"DELETE FROM {relation} WHERE {where_key(row, key)}") == 1
        missing = prove(full, proof)
        assert run(full, f"UPDATE {relation} SET {key[3]} = '9' WHERE {where_key(row, key[:2])}")
        swapped = prove(full, proof)
    assert missing[:2] == (rows, 1)
    assert [missing.sample[0]["key"][name] for name in key] == list(as_json(row, key))
    assert set(missing.sample[0]["observed"].values()) == {None}
    assert swapped.compared > rows
    with replaced(full, relation):
        extra = f"jsonb_build_object('{key[0]}', '1999-12-31')"
        assert run(
            full,
            f"INSERT INTO {relation} SELECT (jsonb_populate_record(t, {extra})).* "
            f"FROM {relation} AS t WHERE {where_key(row, key)}",
        )
        found = prove(full, proof)
    assert found[:2] == (rows + 1, 1)
    assert found.sample[0]["key"][key[0]] == "1999-12-31"
    assert set(found.sample[0]["expected"].values()) == {None}


@pytest.mark.parametrize(
    "column",
    [
        "anchor_14d_n",
        "anchor_median_hours_14d",
        "sold_cnt_30d",
        "sold_median_price_30d",
        "ask_cnt",
        "ask_median_price",
    ],
)
def test_one_anchor_of_one_listing_is_off(full: Store, column: str) -> None:
    row = first(full, ENRICHED, f"{column} > 0", ("listing_id",))
    with replaced(full, ENRICHED):
        update = f"UPDATE {ENRICHED} SET {column} = {column} + 1 WHERE listing_id = "
        assert run(full, f"{update}{row['listing_id']}") == 1
        found = prove(full, ANCHORS)
    assert found[:2] == (len(full.rows(ENRICHED)), 1)
    assert found.keys == [(row["listing_id"],)]
    assert found.sample[0]["expected"][column] == row[column]


def test_a_median_is_held_to_its_last_bit(full: Store) -> None:
    """The next float after the median is 2e-16 of it away."""
    row = first(full, ENRICHED, "anchor_median_hours_14d > 1", ("listing_id",))
    with replaced(full, ENRICHED):
        update = f"UPDATE {ENRICHED} SET anchor_median_hours_14d = anchor_median_hours_14d"
        assert run(full, f"{update} * (1 + 2.5e-16::float8) WHERE listing_id = {row['listing_id']}")
        assert prove(full, ANCHORS).keys == [(row["listing_id"],)]
    speed = first(full, D4, "speed_median_hours_ptv > 1", D4_KEY)
    with replaced(full, D4):
        update = f"UPDATE {D4} SET speed_median_hours_ptv = speed_median_hours_ptv"
        assert run(full, f"{update} * (1 + 2.5e-16::float8) WHERE {where_key(speed, D4_KEY)}") == 1
        assert prove(full, SUMS).broken == 1


@pytest.mark.parametrize(
    ("hours", "median"),
    [([10, 20], 15), ([10, 10, 20], 10), ([10, 20, 20, 30], 20), ([10, 15, 15, 40, 50], 15)],
    ids=lambda value: "_".join(map(str, value)) if isinstance(value, list) else str(value),
)
def test_a_median_is_told_from_the_values_around_it(
    store: Store, hours: list[int], median: int
) -> None:
    """A median is proven by counting what lies below it: no other of these values may pass."""
    t0 = at("2026-03-10 12:00")
    phone = {"generation": 15, "storage_gb": 128, "price": 9000}
    sold = [
        {
            **phone,
            "listing_id": n,
            "edited_date": at("2026-03-02 00:00"),
            "sold_date": at("2026-03-02 00:00") + timedelta(hours=taken),
        }
        for n, taken in enumerate(hours)
    ]
    load(store, [*sold, {**phone, "listing_id": 99, "edited_date": t0}])
    assert prove(store, ANCHORS).broken == 0
    for claim in {5, *hours, 15, 25, 60} - {median}:
        with replaced(store, ENRICHED):
            update = f"UPDATE {ENRICHED} SET anchor_median_hours_14d = {claim}"
            assert run(store, f"{update} WHERE listing_id = 99") == 1
            found = prove(store, ANCHORS)
        assert found.keys == [(99,)], claim
        assert found.sample[0]["expected"]["anchor_median_hours_14d"] == median


@pytest.mark.parametrize(
    ("edge", "moved"),
    [("0.80", "0.85"), ("1.40", "1.25"), ("THEN 128", "THEN 129")],
    ids=["lowest", "highest", "storage"],
)
def test_speed_anchors_of_other_cohorts(full: Store, edge: str, moved: str) -> None:
    """The proof knows the buckets by itself, so it sees their one definition change."""
    cohorts = "ml.tom_speed_cohort_v1"
    other = definition(full, cohorts, edge, moved)
    with full.connection.transaction(force_rollback=True):
        run(full, f"CREATE OR REPLACE VIEW {cohorts} AS {other}")
        with replaced(full, D4, definition(full, D4, "0.5", "0.5")):
            assert prove(full, SUMS).broken > 0


def test_speed_anchors_that_include_their_own_day(full: Store) -> None:
    """Exactly those rows whose own day has a sale, by the days that they used."""
    leak = definition(full, D4, "(d.anchor_day - 1)", "d.anchor_day")
    with replaced(full, D4, leak):
        leaking = [r for r in full.rows(D4) if r["max_sold_day_used"] >= r["anchor_day"]]
        embargo, sums = prove(full, EMBARGO), prove(full, SUMS)
    assert leaking
    assert embargo.broken == sums.broken == len(leaking)
    expected = sorted(as_json(row, D4_KEY) for row in leaking)[:20]
    found = [tuple(sample["key"][name] for name in D4_KEY) for sample in embargo.sample]
    assert found == expected


def test_speed_anchors_that_look_back_a_day_too_far(full: Store) -> None:
    far = definition(full, D4, "(d.anchor_day - 91)", "(d.anchor_day - 92)")
    with replaced(full, D4, far):
        limit = timedelta(days=90)
        older = [r for r in full.rows(D4) if r["anchor_day"] - r["min_sold_day_used"] > limit]
        found = prove(full, EMBARGO)
    assert older
    assert found.broken == len(older)


def test_anchors_that_include_their_own_day(full: Store) -> None:
    before = {row["listing_id"]: row for row in full.rows(ENRICHED)}
    leak = definition(full, ENRICHED, "(c.t0_day - 1)", "c.t0_day")
    with replaced(full, ENRICHED, leak):
        counts = ("anchor_14d_n", "sold_cnt_30d")
        moved = [
            row["listing_id"]
            for row in full.rows(ENRICHED)
            if any(row[name] != before[row["listing_id"]][name] for name in counts)
        ]
        found = prove(full, ANCHORS)
    assert found.broken == len(moved) > 0
    assert found.keys == [(listing_id,) for listing_id in sorted(moved)[:20]]


def test_own_sales_are_counted_by_listing(store: Store) -> None:
    """A sale the day before t0 is in the listing's own windows; one of the t0 day is in none."""
    listing = {"generation": 15, "storage_gb": 128, "price": 9000, "sold_price": 8000}
    t0 = at("2026-03-10 12:00")
    sold_before = {1: 1, 2: 14, 3: 15, 4: 30, 5: 31, 6: 0, 7: -1}
    load(
        store,
        [
            {**listing, "listing_id": n, "edited_date": t0, "sold_date": t0 - timedelta(days=days)}
            for n, days in sold_before.items()
        ],
    )
    assert len(store.rows(D1)) == 7
    found = prove(store, OWN_SALE)
    assert found.compared == 7
    windows = ("in_hours_14d", "in_prices_30d", "in_speed_90d")
    by_listing = {
        sample["key"]["listing_id"]: tuple(sample["observed"][w] for w in windows)
        for sample in found.sample
    }
    # Four sales in 30 days and seven asks: everyone has a price to value, so everyone a cohort.
    assert by_listing == {1: (1, 1, 1), 2: (1, 1, 1), 3: (0, 1, 1), 4: (0, 1, 1), 5: (0, 0, 1)}
    assert found.broken == 5
