"""As-of rules as properties: what comes on day D or later cannot be seen on day D.

Two declared ways in which the future is seen are left out here, as the rules are about all else:
the same-day ask median, and sales that are dated before their own listing's t0 (their price class
is that of t0, so it is known only then).
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.oracle.compare import exact
from tests.oracle.harness import Rows, Store, load_sources, picked
from tests.oracle.odd_cases import Profile, generate
from tests.oracle.rows import Listing, Sources
from tests.relations import D1, D3, D4, F1, F2, E

_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_COHORTS = ((15, 128), (16, 256))
_MARKET = Profile(
    name="two cohorts",
    listings=90,
    days=(0, 1, 2, 4, 7, 9, 12),
    cohorts=_COHORTS,
    prices=(7000, 8000, 9000, 9500, 10000, 12000),
    sold_prices=(7000, 8000, 9000),
    sold_after_hours=(1.0, 20.0, 30.0, 170.0, 600.0),
    sold_share=0.7,
    oddity=0.1,
)
_SOLD_ANCHORS = (
    "anchor_median_hours_14d",
    "anchor_14d_n",
    "sold_median_price_30d",
    "sold_cnt_30d",
    "ptv_sold_30d",
    "delta_vs_sold_median_30d",
)
_few = settings(
    max_examples=3,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # shrinking would take hundreds of refreshes
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _market(seed: int) -> Sources:
    """A market in which no row's sale precedes its listing's first edit."""
    sources = generate(_MARKET, seed)
    first: dict[int, datetime] = {}
    for row in sources.listings:
        if row.edited_date is not None:
            known = first.get(row.listing_id, row.edited_date)
            first[row.listing_id] = min(known, row.edited_date)
    return replace(
        sources,
        listings=tuple(
            replace(row, sold_date=None)
            if row.sold_date and row.sold_date < first.get(row.listing_id, row.sold_date)
            else row
            for row in sources.listings
        ),
    )


@st.composite
def _arrivals(draw: st.DrawFn) -> tuple[date, list[Listing]]:
    """A day D, and new listings of D or later, many of them sold at once."""
    day = draw(st.integers(1, 13))
    arrivals = []
    for number in range(draw(st.integers(1, 12))):
        hour = draw(st.integers(0, 71))
        edited = _FIRST_DAY + timedelta(days=day, hours=hour)
        sold_after = draw(st.none() | st.integers(0, 48))
        generation, storage = draw(st.sampled_from((*_COHORTS, (17, 512), (None, None))))
        arrivals.append(
            Listing(
                listing_id=9000 + number,
                generation=generation,
                storage_gb=storage,
                model=draw(st.sampled_from(("iPhone", "iPhone Pro", "iPhone Air"))),
                price=draw(st.sampled_from((100, 9000, 90000))),
                edited_date=edited,
                sold_date=None if sold_after is None else edited + timedelta(hours=sold_after),
                sold_price=draw(st.sampled_from((None, 1, 99999))),
            )
        )
    return (_FIRST_DAY + timedelta(days=day)).date(), arrivals


def _day(instant: datetime | None) -> date | None:
    return None if instant is None else instant.date()


def _seen_until(store: Store, day: date) -> dict[Any, tuple[Any, ...]]:
    """What must not depend on ``day`` or anything later, by relation and key."""
    seen: dict[Any, tuple[Any, ...]] = {}
    for row in store.rows(E):
        t0_day = _day(row["edited_date"])
        if t0_day is not None and t0_day <= day:
            seen["t0 day", t0_day] = ()
            seen[E, row["listing_id"]] = tuple(map(exact, picked(row, *_SOLD_ANCHORS)))
        if t0_day is not None and t0_day < day:
            seen["all of E", row["listing_id"]] = tuple(map(exact, row.values()))
    for relation, column, keys in ((D4, "anchor_day", 4), (F2, "t0_day", 4)):
        for row in store.rows(relation):
            if row[column] <= day:
                values = tuple(row.values())
                seen[relation, *values[:keys]] = tuple(map(exact, values))
    return seen


def _assert_unmoved(before: dict[Any, Any], after: dict[Any, Any]) -> None:
    moved = {key: after.get(key) for key, value in before.items() if after.get(key) != value}
    assert not dict(list(moved.items())[:3]), f"{len(moved)} rows moved"
    # Anchors of a new t0 day are new, as are F2's rows for new days and segments.
    anchors = {key for key in after.keys() - before.keys() if key[0] == D4}
    assert not {key for key in anchors if ("t0 day", key[1]) in before}


@_few
@given(seed=st.integers(0, 9), arrivals=_arrivals())
def test_later_listings_and_their_sales_never_move_the_past(
    shared_store: Store, seed: int, arrivals: tuple[date, list[Listing]]
) -> None:
    day, listings = arrivals
    sources = _market(seed)
    load_sources(shared_store, sources)
    before = _seen_until(shared_store, day)
    load_sources(shared_store, replace(sources, listings=(*sources.listings, *listings)))
    _assert_unmoved(before, _seen_until(shared_store, day))


@_few
@given(seed=st.integers(0, 9), day_number=st.integers(1, 13), hours=st.integers(0, 48))
def test_later_sales_of_known_listings_never_move_the_past(
    shared_store: Store, seed: int, day_number: int, hours: int
) -> None:
    start = _FIRST_DAY + timedelta(days=day_number)
    sources = _market(seed)
    load_sources(shared_store, sources)
    before = _seen_until(shared_store, start.date())
    sold_date = start + timedelta(hours=hours)
    listings = tuple(
        replace(row, sold_date=sold_date, sold_price=1) if row.sold_date is None else row
        for row in sources.listings
    )
    load_sources(shared_store, replace(sources, listings=listings))
    _assert_unmoved(before, _seen_until(shared_store, start.date()))


def _sold_within(rows: Rows, row: dict[str, Any], days: int) -> int:
    """Sales of a listing's cohort on one of the ``days`` days before its t0 day."""
    t0_day = _day(row["edited_date"])
    if t0_day is None:
        return 0
    return sum(
        other["sold_day"] in {t0_day - timedelta(days=n) for n in range(1, days + 1)}
        for other in rows
        if None not in (other["generation"], other["storage_gb"])
        and picked(other, "generation", "storage_gb") == picked(row, "generation", "storage_gb")
    )


@_few
@given(seed=st.integers(0, 10**6))
def test_counts_are_those_of_strictly_earlier_days(shared_store: Store, seed: int) -> None:
    load_sources(shared_store, generate(_MARKET, seed))
    durations, prices = shared_store.rows(D1), shared_store.rows(D3)
    for row in shared_store.rows(E):
        assert row["anchor_14d_n"] == _sold_within(durations, row, 14)
        assert row["sold_cnt_30d"] == _sold_within(prices, row, 30)
    earlier: Counter[tuple[Any, ...]] = Counter()
    meta = shared_store.rows(F1)
    for day in sorted({row["t0_day"] for row in meta if row["t0_day"] is not None}):
        _assert_counts(earlier, [row for row in shared_store.rows(F2) if row["t0_day"] == day])
        for row in meta:
            if row["t0_day"] == day and row["gen_key"] is not None:
                segment = picked(row, "gen_key", "model_variant")
                earlier.update([segment, (row["color_bucket"],), (*segment, row["color_bucket"])])


def _assert_counts(earlier: Counter[tuple[Any, ...]], stats: Rows) -> None:
    for row in stats:
        segment, color = picked(row, "gen_key", "model_variant"), row["color_bucket"]
        assert row["gmc_seg_n"] == earlier[segment]
        assert row["gmc_color_n_in_seg"] == earlier[(*segment, color)]
        assert row["gmc_color_n_global"] == earlier[(color,)]


def _everything(store: Store, relations: Sequence[str]) -> Counter[Any]:
    """All rows of some relations, each as often as it occurs."""
    return Counter(
        (name, *map(exact, row.values())) for name in relations for row in store.rows(name)
    )


@_few
@given(seed=st.integers(0, 10**6), shuffle=st.integers())
def test_the_order_of_source_rows_decides_nothing(
    shared_store: Store, seed: int, shuffle: int
) -> None:
    """Rules 8 and 9: ties and float sums are put in an order first."""
    sources = generate(replace(_MARKET, oddity=0.5), seed)
    load_sources(shared_store, sources)
    before = _everything(shared_store, (E, D4, F2))
    shuffled = list(sources.listings)
    random.Random(shuffle).shuffle(shuffled)
    load_sources(shared_store, replace(sources, listings=tuple(shuffled)))
    after = _everything(shared_store, (E, D4, F2))
    came, went = after - before, before - after
    assert not list((came + went).items())[:3], f"{came.total()} rows came, {went.total()} went"
