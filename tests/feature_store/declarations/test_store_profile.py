"""store.toml: what a store is called and where it lives; all but the name may be left out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from feature_store.declarations.files.text_file import PACKAGE_SQL
from feature_store.declarations.store_profile import StoreProfile, read_profile
from feature_store.errors import BadInput
from feature_store.settings import Settings


@pytest.fixture
def read(tmp_path):
    def read(text: str) -> StoreProfile:
        (tmp_path / "store.toml").write_text(text)
        return read_profile(tmp_path)

    return read


def test_the_shipped_store_is_what_earlier_versions_knew_by_heart():
    profile = read_profile(Settings().include_dir)
    assert profile.dag_id == "feature_store_refresh"
    assert profile.governed_schemas == ["ml", "feature_store"]
    assert profile.registry == "ml"
    assert profile.key == "listing_id"


def test_what_is_left_out_follows_from_the_name(read):
    profile = read('name = "bikes"')
    assert (profile.title, profile.dag_id) == ("bikes", "bikes_refresh")
    assert (profile.governed_schemas, profile.key) == (["bikes"], "")
    assert (profile.role_prefix, profile.for_readers) == ("bikes", [])
    assert profile.newest.threshold == ""


def test_the_key_may_be_any_column(read):
    assert read('name = "a"\nkey = "Visit Key"').key == "Visit Key"


_BAD: dict[str, tuple[str, Any]] = {
    "no name": ('title = "x"', "name: the field is missing"),
    "a key that is unknown": ('name = "a"\nnaem = "b"', "naem: the field is unknown"),
    "a name that is a number": ("name = 1", "name: Input should be a valid string, got 1"),
    "a name with a capital": ('name = "Bikes"', "name: expected lower-case letters"),
    "a name with a blank": ('name = "my bikes"', "name: expected lower-case letters"),
    "a name with a quote": ("name = \"bi'kes\"", "name: expected lower-case letters"),
    "a name of 41": (f'name = "{"a" * 41}"', "name: expected lower-case letters"),
    "a DAG with a blank": ('name = "a"\ndag_id = "a b"', "dag_id: expected letters, digits"),
    "schemas that are one text": (
        'name = "a"\ngoverned_schemas = "ml"', "governed_schemas: Input should be a valid list",
    ),
    "roles of the server's own": (
        'name = "a"\nrole_prefix = "pg_a"', "role_prefix: expected another beginning than pg_",
    ),
    "for readers no relation": (
        'name = "a"\nfor_readers = ["a b"]', "for_readers, 1: 'a b' is not the name of a relation",
    ),
    "no schema": ('name = "a"\ngoverned_schemas = []', "governed_schemas: List should have"),
    "a schema twice": ('name = "a"\ngoverned_schemas = ["b", "b"]', "a schema is listed twice"),
    "a schema with a capital": (
        'name = "a"\ngoverned_schemas = ["iPhone"]', "governed_schemas, 1: expected lower-case",
    ),
    "the record's own schema": (
        'name = "a"\ngoverned_schemas = ["feature_store_audit"]', "expected a schema of the store",
    ),
    "the server's own schema": (
        'name = "a"\ngoverned_schemas = ["pg_catalog"]', "expected a schema of the store's own",
    ),
    "a title of two lines": ('name = "a"\ntitle = "x\\ny"', "title: expected words on one line"),
    "an empty title": ('name = "a"\ntitle = " "', "title: expected words on one line"),
    "a key of two lines": ('name = "a"\nkey = "my\\nkey"', "key: expected a column's name"),
    "a key of 64 bytes": (f'name = "a"\nkey = "{"ä" * 32}"', "key: expected a column's name"),
    "a threshold with a blank": (
        'name = "a"\n[newest]\nthreshold = "a b"', "newest, threshold: expected the name of",
    ),
    "an unknown key of a table": ('name = "a"\n[newest]\nx = 1', "newest, x: the field is unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), _BAD.values(), ids=_BAD)
def test_bad_input_is_one_error_that_names_the_file_and_the_place(read, tmp_path, text, words):
    with pytest.raises(BadInput) as caught:
        read(text)
    assert caught.value.problem.startswith(f"{tmp_path / 'store.toml'}: ")
    assert words in caught.value.problem
    assert len(caught.value.problem) < 500


# Names that only the store of include/ has. Two places may hold them: the released steps of the
# audit schema, which are never edited, and how psql makes a governance file for that store.
_OF_ONE_STORE = re.compile(
    r"listing_id|iphone|tom_features|\"ml\"|\bml\.(?!sql)|feature_store_refresh(?!\.py)|"
    r"\b(?:uniqueness|spam_absence|as_of_counts|listings?|cohorts?)\b|['\"]ai['\"]",
    re.IGNORECASE,
)


def test_the_package_knows_no_store():
    package = PACKAGE_SQL.parent
    files = [
        path
        for suffix in ("py", "jinja", "js", "sql")
        for path in package.rglob(f"*.{suffix}")
        if path.parent != PACKAGE_SQL / "audit" and path.name != "echarts.min.js"
    ]
    assert len(files) > 200
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in files
        for line in path.read_text().splitlines()
        if _OF_ONE_STORE.search(line) and not line.startswith("--   sed ")
    ]
    assert found == []
