"""The file of declared exceptions, and files that cannot be used."""

from __future__ import annotations

import pytest

from feature_store.declarations.declared_exceptions import badge_of, read_exceptions, tainted_by
from feature_store.errors import BadInput
from tests.feature_store.validation.leaks.variants import EXCEPTIONS, SETS

_FILE = "exceptions.toml"
_EXCEPTION = (
    '[[exception]]\nid = "x"\ntitle = "t"\nrelation = "a.b"\nreads = "c.d"\nsays = "s"\n'
    'badge = "same-day"\n'
    'reason = "r"\ntaints = { set = ["f"] }\n'
)


def test_the_exceptions_as_shipped():
    assert [e.id for e in EXCEPTIONS] == [
        "same-day-ask", "ai-as-of-refresh", "updated-in-place", "live-images", "live-zone",
    ]  # fmt: skip


def test_what_the_source_writes_over_is_not_called_proven():
    by_set = {name for e in EXCEPTIONS for name in e.taints.get("tom_features_v1", ())}
    in_place = {
        "condition_score", "battery_pct_fixed_ai", "damage_severity_ai", "damage_binary_ai",
        "seller_rating", "review_count",
    }  # fmt: skip
    assert in_place <= by_set
    (declared,) = [e for e in EXCEPTIONS if e.badge == "updated in place"]
    assert set(declared.taints["tom_features_v1"]) == in_place == set(declared.columns)
    assert badge_of([declared, EXCEPTIONS[0]]) == "updated in place"
    assert badge_of([]) == "proven as of t0"


def test_tainted_features_with_the_ids_of_all_that_taint_them():
    tainted = tainted_by(EXCEPTIONS)
    assert tainted["tom_features_v1", "ptv_final"] == ("same-day-ask",)
    assert tainted["tom_features_v1", "ai_urgency_f"] == ("ai-as-of-refresh",)
    device = "iphone_device_meta_encoded_v2_model"
    assert tainted[device, "dev_gen_13"] == ("live-images",)
    assert tainted[device, "gmc_seg_n"] == ("live-images", "live-zone")
    assert ("tom_features_v1", "price") not in tainted
    features = {(s.name, f.name) for s in SETS for f in s.features}
    assert tainted.keys() <= features


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_EXCEPTION + _EXCEPTION, "exception: 'x' is listed twice."),
        (
            _EXCEPTION.replace('reads = "c.d"\n', ""),
            "x: expected one of reads and calls.",
        ),
        (_EXCEPTION + 'calls = "f()"\n', "x: expected one of reads and calls."),
        (_EXCEPTION.replace('{ set = ["f"] }', "{}"), "exception, 1, taints: Dictionary should"),
        (_EXCEPTION.replace('["f"]', '["f", "f"]'), "x, taints, set: 'f' is listed twice."),
        (_EXCEPTION.replace('reason = "r"', 'reason = " "'), "exception, 1, reason: String"),
        (_EXCEPTION.replace("a.b", "a.b.c"), "x: 'a.b.c' is not the name of a relation"),
        (_EXCEPTION + "until = 1\n", "exception, 1, until: the field is unknown."),
        (_EXCEPTION.replace("same-day", "odd"), "x: the badge is 'odd'; expected one of updated"),
        (_EXCEPTION.replace("reads", "calls") + 'columns = ["c"]\n', "x: columns belongs to reads"),
    ],
)
def test_exceptions_that_cannot_be_used_are_refused_with_file_and_place(include, text, said):
    path = include.write(_FILE, text)
    with pytest.raises(BadInput) as caught:
        read_exceptions(include.directory)
    assert f"{path}: {said}" in caught.value.problem


def test_a_missing_file_is_refused(include):
    (include.directory / _FILE).unlink()
    with pytest.raises(BadInput, match=f"{_FILE} cannot be read"):
        read_exceptions(include.directory)
