"""Rule 3 of the recorded semantics: one set time zone cuts the days, whoever asks."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.oracle import RELATIONS, compute
from tests.oracle.compare import differences, exact, explain
from tests.oracle.harness import at, load, load_sources, only
from tests.oracle.odd_cases import PROFILES, generate
from tests.relations import D2, F2, E

OSLO = "Europe/Oslo"
LATE = {"listing_id": 1, "generation": 15, "storage_gb": 128, "price": 1}
LATE_DAY = at("2026-03-10 23:30")  # 00:30 of the next day in Oslo
AROUND_MIDNIGHT = generate(PROFILES[3], 5)


@contextmanager
def _from_client_in(zone: str, store: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The store as a client with another default time zone sees it."""
    monkeypatch.setenv("PGTZ", zone)
    with psycopg.connect(store.conninfo) as plain:
        assert plain.execute("SHOW TimeZone").fetchone() == (zone,), "the client has no say"
    client = type(store)(store.conninfo, store.files, store.settings)
    yield client
    client.close()


def test_two_client_zones_get_identical_rows(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """3: refreshed and read from UTC and from Oslo, everything is the same, live views too."""
    seen = {}
    for zone in ("UTC", OSLO):
        with _from_client_in(zone, store, monkeypatch) as client:
            load_sources(client, AROUND_MIDNIGHT)
            seen[zone] = {
                relation.name: Counter(
                    tuple(map(exact, row.values())) for row in client.rows(relation.name)
                )
                for relation in RELATIONS
            }
    moved = [name for name, rows in seen["UTC"].items() if rows != seen[OSLO][name]]
    assert moved == []
    assert compute(AROUND_MIDNIGHT, UTC)[F2] != compute(AROUND_MIDNIGHT, ZoneInfo(OSLO))[F2]


def test_the_set_zone_cuts_the_days(store: Any) -> None:
    """3: with the zone set to Oslo every relation is the oracle's, its days cut in Oslo."""
    oslo = type(store)(store.conninfo, store.files, replace(store.settings, zone=OSLO))
    load_sources(oslo, AROUND_MIDNIGHT)
    expected = compute(AROUND_MIDNIGHT, ZoneInfo(OSLO))
    problems = {
        relation.name: differences(relation, oslo.rows(relation.name), expected[relation.name])
        for relation in RELATIONS
    }
    oslo.close()
    wrong = [explain(r, problems[r.name]) for r in RELATIONS if problems[r.name]]
    assert not wrong, "\n".join(wrong)


def test_half_past_eleven_in_the_evening_is_today_in_utc(store: Any) -> None:
    """3: a listing of 23:30 UTC counts among the asks of its UTC day."""
    noon = LATE | {"listing_id": 2, "edited_date": at("2026-03-10 12:00"), "price": 3}
    load(store, [LATE | {"edited_date": LATE_DAY}, noon])
    assert only(store, D2)["ask_cnt"] == 2
    assert only(store, E, listing_id=1)["ask_median_price"] == 2.0
