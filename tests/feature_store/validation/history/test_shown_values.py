"""What a review shows of the values of a changed row."""

from __future__ import annotations

import pytest

from feature_store.validation.history.shown_values import change


@pytest.mark.parametrize(
    ("columns", "then", "now", "told"),
    [
        (["title"], "", "iPhone", "title '' → iPhone"),
        (["title"], None, "iPhone", ""),
        (["price", "title"], "1\x1fa", "2\x1fa", "price 1 → 2"),
        (["price", "title"], "1", "2\x1fa", ""),
    ],
    ids=["an empty text", "not kept", "of two", "of other columns"],
)
def test_a_change_shows_old_and_new_of_what_was_kept(columns, then, now, told):
    assert change(columns, then, now) == told
