"""The files that the leak gates are told by, and files that cannot be used."""

from __future__ import annotations

import pytest

from feature_store.declarations.leak_rules import badge_of, read_exceptions, read_rules, tainted_by
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from tests.feature_store.validation.leaks.variants import EXCEPTIONS, RULES, SETS

_RULES = "leak_rules.toml"
_EXCEPTIONS = "exceptions.toml"

_OUTCOME = '[[outcome]]\nrelation = "a.b"\ncolumns = ["c"]\nreason = "r"\nread_by = {}\n'
_NOT_AS_OF = '[[not_as_of]]\nrelation = "a.b"\nreason = "r"\n'
_EXCEPTION = (
    '[[exception]]\nid = "x"\ntitle = "t"\nrelation = "a.b"\nreads = "c.d"\nsays = "s"\n'
    'badge = "same-day"\n'
    'reason = "r"\ntaints = { set = ["f"] }\n'
)


def _refused(include, name: str, text: str) -> str:
    path = include.write(name, text)
    with pytest.raises(BadInput) as caught:
        (read_rules if name == _RULES else read_exceptions)(include.directory)
    assert str(path) in caught.value.problem, "the message names the file"
    return caught.value.problem.removeprefix(f"{path}: ")


def test_the_rules_and_exceptions_as_shipped():
    assert list(RULES.as_of) == [Name("iPhone", "iphone_listings")]
    assert len(RULES.not_as_of) == 3
    assert RULES.functions == {}
    assert [e.id for e in EXCEPTIONS] == [
        "same-day-ask", "ai-as-of-refresh", "updated-in-place", "live-images", "live-zone",
    ]  # fmt: skip


def test_every_declared_reader_and_column_is_one_of_the_store(store_files, scratch):
    """A reader or a column that does not exist would be a hole for whoever takes its name."""
    missing = []
    sources = [(source, c) for source, of in RULES.as_of.items() for c in of.values()]
    declared = [
        *sources,
        *((o.relation, o.columns) for o in RULES.outcomes),
        *(reader for o in RULES.outcomes for reader in o.read_by.items()),
    ]
    for relation, columns in declared:
        live = {
            name
            for (name,) in scratch.rows(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s)",
                relation.quoted,
            )
        }
        missing += [f"{relation}.{c}" for c in set(columns) - live - {"*"}]
    assert missing == []


def test_every_outcome_that_a_base_reader_may_carry_on_is_an_outcome_there_too():
    """Else whoever reads D1 could read the sale's day without being named for it."""
    closed = {(o.relation, c) for o in RULES.outcomes for c in o.columns}
    proven = {Name("ml", "tom_features_v1_enriched_mv"), Name("ml", "tom_speed_anchor_v1_mv")}
    open_ = [
        f"{reader}.{column}"
        for outcome in RULES.outcomes
        for reader, columns in outcome.read_by.items()
        if reader not in proven and (reader, "*") not in closed
        for column in columns
        if (reader, column) not in closed
    ]
    assert open_ == []


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
        ("as_of = [", "cannot be read"),
        (f'as_of = ["a.b"]\n{_NOT_AS_OF}{_OUTCOME}', "as_of, 1: expected a table of fields"),
        ("as_of = []\nnot_as_of = []\n", "outcome: the field is missing."),
        (
            f"as_of = []\n{_NOT_AS_OF}{_OUTCOME}more = 1\n",
            "outcome, 1, more: the field is unknown.",
        ),
        (
            f"as_of = []\n{_NOT_AS_OF}{_OUTCOME.replace(chr(34) + 'r' + chr(34), chr(34) * 2)}",
            "outcome, 1, reason: String should have at least 1 character.",
        ),
        (
            f'[[as_of]]\nrelation = "a.b"\nreason = "r"\nread_by = {{}}\n{_NOT_AS_OF}{_OUTCOME}',
            "as_of and not_as_of: 'a.b' is listed twice.",
        ),
        (f"as_of = []\n{_NOT_AS_OF}{_OUTCOME}{_OUTCOME}", "outcome: 'a.b.c' is listed twice."),
        (
            f"as_of = []\n{_NOT_AS_OF}{_OUTCOME.replace('a.b', 'b')}",
            "outcome, 1: 'b' is not the name of a relation; expected schema.relation.",
        ),
        (
            f"as_of = []\n{_NOT_AS_OF}" + _OUTCOME.replace('["c"]', '["*", "c"]'),
            "outcome, 1: columns has '*', which means all, and other names as well.",
        ),
        (
            f"as_of = []\n{_NOT_AS_OF}" + _OUTCOME.replace('["c"]', "[]"),
            "outcome, 1, columns: List should have at least 1 item after validation, not 0.",
        ),
        (
            f'as_of = []\n{_NOT_AS_OF}{_OUTCOME}[[function]]\nsignature = "f()"\n',
            "function, 1, reason: the field is missing.",
        ),
    ],
)
def test_rules_that_cannot_be_used_are_refused_with_file_and_place(include, text, said):
    assert said in _refused(include, _RULES, text)


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
    assert said in _refused(include, _EXCEPTIONS, text)


def test_a_missing_file_is_refused(include):
    for name, read in ((_RULES, read_rules), (_EXCEPTIONS, read_exceptions)):
        (include.directory / name).unlink()
        with pytest.raises(BadInput, match=f"{name} cannot be read"):
            read(include.directory)
