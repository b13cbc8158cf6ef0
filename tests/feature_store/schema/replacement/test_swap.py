"""What others change while the new rows are computed is not lost: then nothing is swapped."""

from __future__ import annotations

from typing import Any

import pytest

from feature_store.errors import NotReady
from feature_store.schema import apply as applying
from feature_store.schema.apply import apply
from tests.feature_store.schema.hand_built import OWNER, READER
from tests.relations import E_AI, C


@pytest.fixture
def owned(hand_built, include):
    """The hand-built store, applied by its owner."""
    with hand_built.session(OWNER) as connection:
        apply(connection, include.store, include.settings, [E_AI])
    return hand_built


def _meanwhile(database, include, monkeypatch, statement: str, name: str = E_AI) -> str:
    """Replace a relation while somebody does something else; gives what apply said."""
    filled = applying.fill

    def fill(*arguments: Any) -> None:
        filled(*arguments)
        database.run(statement)
        after.extend(database.snapshot())

    after: list[str] = []
    monkeypatch.setattr(applying, "fill", fill)
    with database.session(OWNER) as connection, pytest.raises(NotReady) as caught:
        apply(connection, include.store, include.settings, [name])
    assert database.snapshot() == after, "what was changed meanwhile is still so"
    assert caught.value.readers == "what they had before."
    assert caught.value.next_step == "Apply again."
    return str(caught.value)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"REVOKE SELECT ON {E_AI} FROM {READER}", f'{E_AI}: the privilege SELECT of "{READER}"'),
        (
            f"GRANT UPDATE ON {E_AI} TO {READER}",
            f'{E_AI}: the privilege UPDATE of "{READER}"',
        ),
        (f"CREATE INDEX mine_idx ON {E_AI} (price)", f"{E_AI}: the index mine_idx"),
        (f"COMMENT ON COLUMN {E_AI}.price IS 'In euros.'", f"{E_AI}: the comment on price"),
        (f"ALTER MATERIALIZED VIEW {E_AI} SET (fillfactor = 70)", f"{E_AI}: the option fillfactor"),
        (
            "CREATE OR REPLACE VIEW mine.prices WITH (security_barrier) AS "
            f"SELECT listing_id, price, ptv_final FROM {E_AI} WHERE price > 9",
            "mine.prices: its query",
        ),
    ],
)
def test_what_is_changed_while_rows_are_computed_is_told_and_kept(
    owned, include, monkeypatch, statement, words
):
    assert words in _meanwhile(owned, include, monkeypatch, statement)


def test_one_that_is_renamed_while_rows_are_computed_is_told(owned, include, monkeypatch):
    rename = f"ALTER MATERIALIZED VIEW {C} RENAME TO away"
    assert f"{C} was dropped or renamed meanwhile" in _meanwhile(
        owned, include, monkeypatch, rename, C
    )
