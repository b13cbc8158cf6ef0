"""The rules that the leak gates are told, and files that cannot be used."""

from __future__ import annotations

import pytest

from feature_store.declarations.leak_rules import read_rules
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from tests.feature_store.validation.leaks.variants import RULES

_FILE = "leak_rules.toml"

_OUTCOME = '[[outcome]]\nrelation = "a.b"\ncolumns = ["c"]\nreason = "r"\nread_by = {}\n'
_NOT_AS_OF = '[[not_as_of]]\nrelation = "a.b"\nreason = "r"\n'


def _refused(include, text: str) -> str:
    path = include.write(_FILE, text)
    with pytest.raises(BadInput) as caught:
        read_rules(include.directory)
    assert str(path) in caught.value.problem, "the message names the file"
    return caught.value.problem.removeprefix(f"{path}: ")


def test_the_rules_as_shipped():
    assert list(RULES.as_of) == [Name("iPhone", "iphone_listings")]
    assert len(RULES.not_as_of) == 3
    assert RULES.functions == {}


def test_every_declared_reader_and_column_is_one_of_the_store(store_files, scratch):
    """A name that does not exist would open a hole for whatever gets that name later."""
    missing = []
    named = (*RULES.as_of.items(), *RULES.as_of_adopted.items())
    sources = [(source, c) for source, of in named for c in of.values()]
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
    """Else a relation that reads D1 could read the day of the sale without being named for it."""
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("as_of = [", "cannot be read"),
        (f'as_of = ["a.b"]\n{_NOT_AS_OF}{_OUTCOME}', "as_of, 1: expected a table of fields"),
        (
            f"as_of = []\n{_NOT_AS_OF}{_OUTCOME}more = 1\n",
            "outcome, 1, more: the field is unknown.",
        ),
        (
            f"as_of = []\n{_NOT_AS_OF}{_OUTCOME.replace(chr(34) + 'r' + chr(34), chr(34) * 2)}",
            "outcome, 1, reason: String should have at least 1 character, got ''.",
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
            "columns: List should have at least 1 item after validation, not 0, got [].",
        ),
        (
            f'as_of = []\n{_NOT_AS_OF}{_OUTCOME}[[function]]\nsignature = "f()"\n',
            "function, 1, reason: the field is missing.",
        ),
        (
            '[[type]]\nname = "a.t"\nreason = "r"\n' * 2,
            "type: 'a.t' is listed twice.",
        ),
    ],
)
def test_rules_that_cannot_be_used_are_refused_with_file_and_place(include, text, said):
    assert said in _refused(include, text)


def test_what_a_file_does_not_name_is_nothing(include):
    include.write(_FILE, "")
    rules = read_rules(include.directory)
    said = (rules.as_of, rules.not_as_of, rules.outcomes, rules.vouched)
    assert not any(said)


def test_functions_and_types_are_vouched_for(include):
    declared = '[[function]]\nsignature = "a.f()"\nreason = "r"\n'
    include.write(_FILE, declared + '[[type]]\nname = "a.t"\nreason = "r"\n')
    assert read_rules(include.directory).vouched == {"a.f()", "a.t"}


def test_a_missing_file_is_refused(include):
    (include.directory / _FILE).unlink()
    with pytest.raises(BadInput, match=f"{_FILE} cannot be read"):
        read_rules(include.directory)
