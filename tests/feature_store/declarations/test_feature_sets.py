"""Contract files: what they hold, and files that cannot be used."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import (
    DTYPES,
    FeatureSet,
    read_feature_set,
    read_feature_sets,
)
from feature_store.errors import BadInput
from tests.conftest import ROOT

_TOM = "tom_features_v1"
_DEVICE = "iphone_device_meta_encoded_v2_model"
_FIRST_26 = "376417e5653f05f5953e4bbbed2f562bb54329314e705c292d46bd1e3fbf4088"
_ALL_51 = "33d030da93778d2efbb4297eccbb4bc852c23229bdfa5459eaf1bcba57ff136c"

_HEAD = 'name = "s"\nschema = "ml"\nrelation = "ml.r"\nother_columns = []\nleakage_rule = "rule"\n'
_ROW = '{ ordinal = 1, name = "a", dtype = "int", description = "A" }'


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str, name: str = "s.toml") -> FeatureSet:
        path = tmp_path / name
        path.write_text(text)
        return read_feature_set(path, "ml")

    return read_text


def _refused(read, text: str, name: str = "s.toml") -> str:
    with pytest.raises(BadInput) as caught:
        read(text, name)
    assert f"{name}" in caught.value.problem, "the message names the file"
    return caught.value.problem.split("s.toml", 1)[-1]


def _rows(*rows: str) -> str:
    return _HEAD + "features = [\n" + ",\n".join(rows) + "\n]\n"


def _row(ordinal: object = 1, name: str = "a", dtype: str = "int", more: str = "") -> str:
    return f'{{ ordinal = {ordinal}, name = "{name}", dtype = "{dtype}", description = "x"{more} }}'


@pytest.fixture(scope="module")
def sets() -> dict[str, FeatureSet]:
    from feature_store.settings import Settings

    return {s.name: s for s in read_feature_sets(Settings().include_dir)}


def test_there_are_two_sets_each_in_its_schema_and_bound_to_its_relation(sets):
    assert {(s.name, s.schema, str(s.relation), len(s.features)) for s in sets.values()} == {
        (_TOM, "ml", "ml.tom_features_v1_enriched_ai_clean_mv", 51),
        (_DEVICE, "feature_store", "feature_store.device_meta_encoded_t0_v1", 61),
    }


def test_the_first_26_rows_have_the_published_hash(sets):
    first = replace(sets[_TOM], features=sets[_TOM].features[:26])
    assert first.hash == _FIRST_26


def test_all_51_rows_have_their_hash(sets):
    assert sets[_TOM].hash == _ALL_51


def test_the_hash_is_sha256_of_the_canonical_payload(read):
    feature_set = read(
        _rows(
            _row(), _row(2, "ø", "text", ', expr_sql = "e", leakage_rule = "l", is_nullable=false')
        )
    )
    payload = "1|a|int|a|rule|1||2|ø|text|e|l|0"
    assert feature_set.hash == hashlib.sha256(payload.encode("utf-8")).hexdigest()


def test_ai_rows_follow_by_name(sets):
    names = [f.name for f in sets[_TOM].features[26:]]
    assert names == sorted(names)
    assert all(name.startswith("ai_") for name in names)
    assert {f.dtype for f in sets[_TOM].features[26:]} <= {"int4", "float8"}


def test_only_generation_may_not_be_null(sets):
    assert [f.name for f in sets[_TOM].features if not f.is_nullable] == ["generation"]


def test_no_key_text_or_outcome_is_a_feature(sets):
    names = {f.name for f in sets[_TOM].features}
    assert not names & {
        "listing_id", "edited_date", "title", "description",
        "sold_date", "sold_price", "real_sold_price", "last_seen", "status", "duration_hours",
    }  # fmt: skip
    assert not any(name.startswith("speed_") for name in names)


@pytest.mark.parametrize("folder", ["include", "examples/bike_stations"])
def test_a_feature_under_an_exception_says_so_in_its_description(folder):
    """Its leakage rule is not true of it, and readers of feature_contract see only these words."""
    for declared in read_exceptions(ROOT / folder):
        for feature_set in read_feature_sets(ROOT / folder):
            for feature in feature_set.features:
                if feature.name in declared.taints.get(feature_set.name, ()):
                    said = feature.description
                    assert declared.says.lower() in said.lower() or said.startswith(
                        "AI, not as of t0: "
                    ), feature.name


def test_the_device_set_is_the_61_columns_of_f3_in_order(sets, scratch):
    relation = str(sets[_DEVICE].relation)
    types = {"integer": "int4", "bigint": "int8", "double precision": "float8"}
    live = scratch.rows(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        relation,
    )
    assert [(f.name, f.dtype) for f in sets[_DEVICE].features] == [
        (name, types[type_name]) for name, type_name in live
    ]
    assert len(live) == 61


def test_features_and_other_columns_are_the_60_columns_of_e_ai(sets, scratch):
    tom = sets[_TOM]
    live = scratch.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
        str(tom.relation),
    )
    assert {f.name for f in tom.features} | set(tom.other_columns) == {name for (name,) in live}
    assert len(live) == 60


def test_a_row_takes_the_set_s_rule_and_its_own_name_unless_it_says_otherwise(read):
    (feature,) = read(_rows(_ROW)).features
    assert (feature.expr_sql, feature.leakage_rule, feature.is_nullable) == ("a", "rule", True)


# Files that cannot be used


def test_a_row_has_the_set_s_owner_and_tags_and_its_own_and_none_of_it_is_hashed(read):
    rows = _rows(_row(), _row(2, "b", more=', owner = "us", tags = ["price", "x"]'))
    plain = read(rows)
    named = read('keys = ["a"]\nowner = "them"\ntags = ["x"]\n' + rows)
    assert [(f.owner, f.tags) for f in named.features] == [("them", ("x",)), ("us", ("x", "price"))]
    assert (plain.features[0].owner, plain.features[0].tags) == ("", ())
    assert (named.keys, plain.keys) == (("a",), ())
    assert named.hash == plain.hash


def test_a_key_that_is_no_feature_is_refused(read):
    assert _refused(read, 'keys = ["a", "z"]\n' + _rows(_row())).endswith(
        "keys names z, which are not features of the set."
    )


def test_a_duplicate_ordinal_is_refused(read):
    assert _refused(read, _rows(_row(), _row(1, "b"))) == (
        ", feature 2 (b): the ordinal 1 is used twice."
    )


def test_a_duplicate_name_is_refused(read):
    assert _refused(read, _rows(_row(), _row(2))) == (
        ", feature 2 (a): the name 'a' is used twice."
    )


@pytest.mark.parametrize(("ordinals", "place"), [((1, 3), 2), ((2,), 1), ((0,), 1), ((-1,), 1)])
def test_a_gap_in_the_ordinals_is_refused(read, ordinals, place):
    rows = [_row(o, f"f{o}") for o in ordinals]
    assert _refused(read, _rows(*rows)) == (
        f", feature {place} (f{ordinals[-1]}): the ordinal is {ordinals[-1]}; expected {place}."
    )


def test_rows_out_of_order_are_refused(read):
    assert _refused(read, _rows(_row(2, "b"), _row(1, "a"))).endswith(
        "the ordinal is 2; expected 1."
    )


@pytest.mark.parametrize("dtype", ["integer", "INT", "double", ""])
def test_an_unknown_dtype_is_refused(read, dtype):
    assert _refused(read, _rows(_row(dtype=dtype))) == (
        f", feature 1 (a): the dtype is {dtype!r}; expected one of {', '.join(DTYPES)}."
    )


@pytest.mark.parametrize("field", ["name", "expr_sql", "leakage_rule"])
def test_a_bar_in_a_hashed_field_is_refused(read, field):
    row = _row(name="a|b") if field == "name" else _row(more=f', {field} = "a|b"')
    found = _refused(read, _rows(row))
    # a row without an expr_sql takes its name for one, and the name is found first
    assert f"): {field} is 'a|b'; no field may contain '|'" in found


def test_a_percent_sign_in_the_name_of_a_feature_or_an_entity_is_refused(read):
    """The queries that compare served values bind values beside these names."""
    assert "the column 'share_%': no feature or entity may have a '%'" in _refused(
        read, _rows(_row(name="share_%"))
    )
    served = 'entity = "id%"\nt0 = "ml.r.t"\n'
    assert "the column 'id%'" in _refused(read, served + _rows(_ROW))


def test_a_bar_in_the_set_s_rule_is_refused(read):
    text = _rows(_ROW).replace('"rule"', '"r|s"')
    assert "leakage_rule is 'r|s'" in _refused(read, text)


def test_a_bar_in_a_description_is_allowed(read):
    assert read(_rows(_ROW.replace('"A"', '"A|B"'))).features[0].description == "A|B"


@pytest.mark.parametrize(
    "field", ["name", "schema", "relation", "other_columns", "leakage_rule", "features"]
)
def test_a_missing_field_of_the_set_is_named(read, field):
    lines = [line for line in _rows(_ROW).splitlines() if not line.startswith(f"{field} =")]
    if field == "features":
        lines = _HEAD.splitlines()
    assert _refused(read, "\n".join(lines)) == f": {field}: the field is missing."


@pytest.mark.parametrize("field", ["ordinal", "name", "dtype", "description"])
def test_a_missing_field_of_a_row_is_named(read, field):
    parts = [part for part in _ROW.strip("{ }").split(", ") if not part.startswith(field)]
    assert _refused(read, _rows("{ " + ", ".join(parts) + " }")) == (
        f": features, 1, {field}: the field is missing."
    )


def test_a_set_without_features_is_refused(read):
    assert _refused(read, _HEAD + "features = []") == (
        " has no features. An empty contract would allow anything."
    )


def test_a_wrong_file_name_is_refused(read):
    with pytest.raises(BadInput) as caught:
        read(_rows(_ROW), "other.toml")
    assert caught.value.problem.endswith(
        "other.toml has the set 's'; expected 'other', as the file is called."
    )


def test_what_is_not_toml_is_refused(read, tmp_path):
    assert " cannot be read: " in _refused(read, "features = [")
    with pytest.raises(BadInput, match="cannot be read"):
        read_feature_set(tmp_path / "missing.toml", "ml")
    (tmp_path / "s.toml").write_bytes(b"\xff")
    with pytest.raises(BadInput, match="cannot be read"):
        read_feature_set(tmp_path / "s.toml", "ml")


@pytest.mark.parametrize(
    "text",
    [
        _rows(_ROW.replace('"A"', "1")),
        _rows(_ROW.replace('"a"', "5")),
        _rows(_ROW.replace('"int"', "5")),
        _rows(_row('"1"')),
        _rows(_row("1.0")),
        _rows(_row("true")),
        _rows(_row(more=', is_nullable = "no"')),
        _rows(_row(more=", leakage_rule = 1")),
        _rows('"a"'),
        _HEAD + 'features = "abc"',
        _HEAD + "features = 1",
        _rows(_ROW).replace("other_columns = []", 'other_columns = "ab"'),
        _rows(_ROW).replace('"ml.r"', "1"),
        _rows(_ROW).replace('"ml.r"', '"r"'),
        _rows(_ROW).replace('"ml"', "1"),
    ],
    ids=[
        "description", "name", "dtype", "text ordinal", "float ordinal", "true ordinal",
        "text is_nullable", "leakage_rule", "text row", "text features", "number features",
        "text other_columns", "number relation", "relation without schema", "number schema",
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused_and_the_file_named(read, text):
    _refused(read, text)


@pytest.mark.parametrize(
    "text",
    [
        _rows(_row(more=", is_nullabel = false")),
        _rows(_ROW).replace("schema", 'colour = "red"\nschema'),
    ],
    ids=["misspelt in a row", "in the set"],
)
def test_an_unknown_field_is_refused(read, text):
    assert _refused(read, text).endswith(": the field is unknown.")
