"""Labels: they may read the outcomes that are declared for them, and nothing else of that kind."""

from __future__ import annotations

import pytest

from feature_store.validation.leaks.gate_context import EXCEPTIONS, OUTCOMES, READERS, TIME_OF_QUERY
from tests.feature_store.validation.leaks.variants import found, readers, remake, words
from tests.relations import B, C

_END = "coalesce(o.sold_date, o.last_seen)"
_SOLD = "o.sold_date IS NOT NULL AS"
_LEAKS = {
    "now": (B, _END, "coalesce(o.sold_date, now())", TIME_OF_QUERY, "now()"),
    "today": (B, _SOLD, "o.sold_date < current_date AS", TIME_OF_QUERY, "current_date"),
    "chance": (B, _SOLD, "random() < 0.5 AS", TIME_OF_QUERY, "random()"),
    "today as a constant": (B, _SOLD, "o.sold_date < 'today' AS", TIME_OF_QUERY, "the constant"),
    "an outcome of others": (B, "max(l.last_seen)", "max(l.status::date)", OUTCOMES, "status"),
    "another column": (B, "max(l.last_seen)", "max(l.edited_date)", READERS, "edited_date"),
    "another source": (
        B,
        "ON f.listing_id = o.listing_id",
        'ON f.listing_id = o.listing_id AND EXISTS (SELECT FROM "iPhone".iphone_ai_enrich)',
        EXCEPTIONS,
        "iPhone.iphone_ai_enrich",
    ),
    "a label made of chance beside features": (
        C, "y.sold_event", "random() < 0.5 AS sold_event", TIME_OF_QUERY, "random()",
    ),
}  # fmt: skip


@pytest.mark.parametrize("leak", _LEAKS)
def test_what_a_label_may_not_depend_on_is_found(scratch, store_files, leak):
    relation, before, after, gate, told = _LEAKS[leak]
    remake(scratch, store_files, relation, (before, after))
    findings = (*found(scratch, store_files), *readers(scratch, store_files))
    assert [w for w in words(findings, gate) if relation in w and told in w]
