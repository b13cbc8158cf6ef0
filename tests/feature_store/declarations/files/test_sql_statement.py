"""The statements of an SQL file: where one ends, and when two are alike."""

from __future__ import annotations

import pytest

from feature_store.declarations.files.sql_statement import parse, split_statements
from feature_store.errors import BadInput


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ORDER BY x", "ORDER\n    BY x"),
        ("GROUP BY x", "GROUP\n    BY x"),
        ("sum(x) OVER (PARTITION BY x)", "sum(x) OVER (PARTITION\n  BY x)"),
        ("x::double precision", "x::double  precision"),
        ("ORDER BY x", "order /* by what? */ by x"),
    ],
    ids=["order by", "group by", "partition by", "double precision", "comment inside"],
)
def test_white_space_inside_a_phrase_of_keywords_is_no_change(tmp_path, one, other):
    normals = []
    for text in (one, other):
        (tmp_path / "x.sql").write_text(f"SELECT {text}")
        normals.append(split_statements(tmp_path / "x.sql")[0].normal)
    assert normals[0] == normals[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("'Blue'", "'blue'"),
        ("'a b'", "'a  b'"),
        ('"X"', '"x"'),
        ("a.x", "a.y"),
        ("1", "2"),
        ("a < b", "a <= b"),
        ("E'\\S'", "E'\\s'"),
        ("U&'Blue'", "U&'blue'"),
        ("$$Blue$$", "$$blue$$"),
        ("$f$Blue$f$", "$f$blue$f$"),
        ("$$a  b$$", "$$a b$$"),
    ],
    ids=[
        "text", "blanks", "name", "column", "number", "operator", "escape text", "unicode text",
        "dollar text", "tagged dollar text", "blanks in a dollar text",
    ],
)  # fmt: skip
def test_values_and_quoted_names_count_letter_by_letter(tmp_path, one, other):
    normals = []
    for text in (one, other):
        (tmp_path / "x.sql").write_text(f"SELECT {text}")
        normals.append(split_statements(tmp_path / "x.sql")[0].normal)
    assert normals[0] != normals[1]


def test_a_semicolon_inside_a_text_or_a_function_body_splits_nothing(tmp_path):
    path = tmp_path / "x.sql"
    path.write_text("SELECT 'a;b';\nCREATE FUNCTION f() AS $f$ a; b; $f$;\n")
    assert [s.text for s in split_statements(path)] == [
        "SELECT 'a;b'",
        "CREATE FUNCTION f() AS $f$ a; b; $f$",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [("SELECT 1\nFROM (", "Line 2"), ("ALTER TABLE x FROBNICATE", "'ALTER TABLE x FROB")],
)
def test_what_is_no_sql_is_told_once_in_plain_letters(tmp_path, text, words, caplog):
    """sqlglot underlines the place by codes that only a terminal shows, or warns in the log."""
    with pytest.raises(BadInput) as caught:
        parse(tmp_path / "odd.sql", text)
    assert words in caught.value.problem
    assert "\x1b" not in caught.value.problem
    assert caplog.text == ""
