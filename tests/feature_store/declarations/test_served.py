"""What a contract file says of its feature log, and what it may not say."""

from __future__ import annotations

import pytest

from feature_store.declarations.feature_sets import logged_sets, read_feature_set
from feature_store.errors import BadInput

_HEAD = 'name = "{name}"\nschema = "ml"\nrelation = "ml.r"\nother_columns = []\n'
_ROWS = (
    'leakage_rule = "rule"\nfeatures = '
    '[{{ ordinal = 1, name = "{feature}", dtype = "int", description = "A" }}]\n'
)
_SERVED = 'entity = "id"\nt0 = "ml.r.day"\nlabels = ["ml.l.sold"]\n'


@pytest.fixture
def read(tmp_path):
    def read_text(served: str, name: str = "s", feature: str = "a"):
        path = tmp_path / f"{name}.toml"
        path.write_text(_HEAD.format(name=name) + served + _ROWS.format(feature=feature))
        return read_feature_set(path, "ml")

    return read_text


def test_both_sets_of_the_store_have_a_log_by_listing_with_the_labels(settings):
    sets = logged_sets(settings.include_dir)
    assert len(sets) == 2
    for feature_set in sets.values():
        assert feature_set.served.entity == "listing_id"
        assert [label.name for label in feature_set.served.labels] == [
            "sold_event",
            "duration_hours",
        ]


def test_it_is_no_part_of_the_hash(read):
    assert read(_SERVED).hash == read("").hash


def test_a_set_that_says_nothing_has_none(read):
    assert read("").served is None
    assert str(read(_SERVED).served.t0) == "ml.r.day"


@pytest.mark.parametrize(
    ("served", "words"),
    [
        ('entity = "id"\n', "entity and t0 go together"),
        ('t0 = "ml.r.day"\n', "entity and t0 go together"),
        ('labels = ["ml.l.sold"]\n', "entity and t0 go together"),
        (_SERVED.replace("ml.r.day", "day"), "'day' is not a column; expected schema.relation."),
        (_SERVED.replace("ml.r.day", "ml.r. "), "is not a column; expected"),
        (_SERVED.replace("ml.r.day", "ml.r.50%"), "is not a column; expected"),
        (_SERVED.replace("ml.r.day", "ml.my r.day"), "is not a column; expected"),
        (_SERVED.replace("ml.r.day", f"ml.r.{'x' * 64}"), "is not a column; expected"),
        (_SERVED.replace('"id"', "7"), "entity: Input should be a valid string"),
        (_SERVED.replace('"id"', '"served_at"'), "'served_at' would be in the feature log twice"),
        (_SERVED.replace("l.sold", "l.still_listed"), "'still_listed' would be in"),
        (_SERVED.replace("l.sold", "l.id"), "'id' would be in the feature log twice"),
    ],
)
def test_what_cannot_be_a_log_is_refused_by_name(read, served, words):
    with pytest.raises(BadInput) as refused:
        read(served)
    assert "s.toml" in refused.value.problem
    assert words in refused.value.problem


def test_a_column_may_have_any_name_that_sql_takes_in_quotes(read):
    served = read(_SERVED.replace("r.day", "r.seen at").replace("l.sold", "l.it's gone")).served
    assert (served.t0.name, str(served.t0)) == ("seen at", "ml.r.seen at")
    assert [label.name for label in served.labels] == ["it's gone"]


@pytest.mark.parametrize("feature", ["t0", "run_id", "sold"])
def test_a_feature_called_like_a_column_of_the_log_is_refused(read, feature):
    with pytest.raises(BadInput, match=f"'{feature}' would be in the feature log twice"):
        read(_SERVED, feature=feature)
    if feature != "sold":
        assert read("", feature=feature).served is None


def test_the_entity_may_be_a_feature_as_well(read):
    assert read(_SERVED, feature="id").served.entity == "id"


def test_a_name_too_long_for_its_training_view_is_refused(read):
    assert read(_SERVED, name="x" * 54).served
    with pytest.raises(BadInput, match="has 55 bytes; expected at most 54"):
        read(_SERVED, name="x" * 55)
    assert read("", name="x" * 55).served is None
