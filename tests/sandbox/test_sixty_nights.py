"""The sources of the sixty nights tell at each moment what is known then, and all in the end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest

from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions
from sandbox.sixty_nights import nights
from sandbox.sixty_nights.nights import Nights
from sandbox.sixty_nights.scores import compare

_MOMENT = datetime(2026, 6, 20, 3, 20, tzinfo=UTC)


@pytest.fixture
def life(sources_database, settings):
    with psycopg.connect(sources_database, autocommit=True) as connection:
        load_sample(connection, SampleOptions(listings=300, days=20))
        connection.execute((Path(nights.__file__).parent / "truth.sql").read_bytes())
        yield Nights(sources_database, settings), connection


def test_nothing_is_known_before_it_is(life):
    known, connection = life
    known.come_to_know(_MOMENT)
    row = connection.execute(
        "SELECT count(*) > 50, count(*) < (SELECT count(*) FROM life.listings), "
        "greatest(max(edited_date), max(sold_date), max(last_seen), max(damage_ai_at), "
        'max(battery_pct_fixed_at), (SELECT max(updated_at) FROM "iPhone".iphone_ai_enrich)) '
        '<= %s FROM "iPhone".iphone_listings',
        (_MOMENT,),
    ).fetchone()
    assert row == (True, True, True)


def test_in_the_end_the_sources_are_the_sample(life):
    known, connection = life
    tables = {
        "life.listings": '"iPhone".iphone_listings',
        "life.ai": '"iPhone".iphone_ai_enrich',
        "life.images": "feature_store.device_image_features_unified_v1",
    }
    known.come_to_know(datetime(2027, 6, 1, tzinfo=UTC))
    for truth, source in tables.items():
        columns = ", ".join(
            f"to_jsonb(x) -> '{name}'"
            for (name,) in connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
                (source,),
            )
        )
        for one, other in ((truth, source), (source, truth)):
            rows = f"SELECT {columns} FROM {one} AS x EXCEPT ALL SELECT {columns} FROM {other} AS x"
            assert connection.execute(rows.encode()).fetchall() == [], (one, other)
        (count,) = connection.execute(f"SELECT count(*) FROM {truth}".encode()).fetchone()
        assert count > 0


def test_of_two_models_the_one_that_saw_what_it_is_judged_by_scores_better():
    draw = np.random.default_rng(7)
    served = draw.normal(size=(600, 3))
    sold = served[:, 0] + draw.normal(size=600) > 0
    rebuilt = served.copy()
    rebuilt[:, 1] = sold  # history gives the outcome away
    served[5, 2] = np.nan
    scores = compare(served, rebuilt, sold, np.arange(600) >= 400)
    assert (scores.trained_on, scores.judged_on) == (400, 200)
    assert scores.served > 0.7 > scores.rebuilt + 3 * scores.give_or_take
    assert scores.gain == scores.served - scores.rebuilt
