from __future__ import annotations

from typing import Any

import psycopg
import pytest

from feature_store.reporting.run.short_cause import cause_of

_TWO = "VALUES (300001187, 'a)'), (300001187, 'a)')"


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO sold {_TWO}",
        f"ALTER TABLE sold DROP CONSTRAINT one; INSERT INTO sold {_TWO}; "
        "CREATE UNIQUE INDEX ON sold (listing_id, town)",
    ],
)
def test_of_a_key_that_is_twice_the_cause_names_the_key(store_db: Any, statement: str) -> None:
    """A base layer's refresh fails at its index, and has no other word of which rows these are."""
    store_db.run(
        "CREATE TEMP TABLE sold (listing_id bigint, town text, "
        "CONSTRAINT one UNIQUE (listing_id, town))"
    )
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        store_db.run(statement)
    assert cause_of(caught.value) == "duplicate key (listing_id, town)=(300001187, a))"


def test_what_is_no_key_is_said_in_its_own_words(store_db: Any) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero) as caught:
        store_db.run("SELECT 1 / 0")
    assert cause_of(caught.value) == "division by zero"
