"""One SQL file: what it must hold, and what counts as a change of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.declarations.files.sql_file import SqlFile, read_sql_file
from feature_store.errors import BadInput
from feature_store.relation_name import Name

_VIEW = "CREATE VIEW ml.v AS\nSELECT a.x FROM ml.a AS a;\n"
_MATERIALIZED = "CREATE MATERIALIZED VIEW ml.v AS\nSELECT a.x FROM ml.a AS a\nWITH NO DATA;\n"


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str, name: str = "ml.v.sql") -> SqlFile:
        path = tmp_path / name
        path.write_text(text)
        return read_sql_file(path)

    return read_text


def _refused(read, text: str, name: str = "ml.v.sql") -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(text, name)
    assert name in caught.value.problem, "the message names the file"
    return caught.value


def test_a_file_tells_its_relation_indexes_comments_and_reads(read):
    file = read(
        _MATERIALIZED
        + "CREATE UNIQUE INDEX v_uq ON ml.v (x);\nCREATE INDEX v_x ON ml.v (lower(x));\n"
        "COMMENT ON MATERIALIZED VIEW ml.v IS 'all';\nCOMMENT ON COLUMN ml.v.x IS 'x';\n"
    )
    assert file.name == Name("ml", "v")
    assert file.materialized
    assert list(file.indexes) == ["v_uq", "v_x"]
    assert file.unique_indexes == {"v_uq": ("x",)}
    assert [c.text for c in file.comments] == [
        "COMMENT ON MATERIALIZED VIEW ml.v IS 'all'",
        "COMMENT ON COLUMN ml.v.x IS 'x'",
    ]
    assert file.reads == {Name("ml", "a")}
    assert not read(_VIEW).materialized


def test_reads_reach_into_ctes_subqueries_and_laterals_and_leave_out_cte_names(read):
    file = read(
        "CREATE VIEW ml.v AS WITH c AS (SELECT 1 AS x FROM ml.in_cte) "
        'SELECT c.x, (SELECT max(y) FROM "iPhone".in_select) FROM c '
        "INNER JOIN LATERAL (SELECT 1 FROM ml.in_lateral) AS l ON TRUE "
        "CROSS JOIN generate_series(1, 2) AS g (n) "
        "WHERE EXISTS (SELECT 1 FROM ml.in_exists) UNION ALL SELECT 1, 2 FROM ml.in_union"
    )
    assert {str(n) for n in file.reads} == {
        "ml.in_cte",
        "iPhone.in_select",
        "ml.in_lateral",
        "ml.in_exists",
        "ml.in_union",
    }


def test_shows_are_the_tables_of_the_outermost_select_in_order(read):
    file = read(
        "CREATE VIEW ml.v AS WITH c AS (SELECT 1 AS x FROM ml.hidden) "
        "SELECT 1 FROM ml.b AS b LEFT JOIN c ON TRUE LEFT JOIN ml.a AS a ON TRUE"
    )
    assert file.shows == (Name("ml", "b"), Name("ml", "a"))


def test_a_file_without_its_relation_is_refused(read):
    error = _refused(read, "COMMENT ON TABLE ml.v IS 'x'")
    assert error.problem.endswith("must create exactly one relation, ml.v; it creates none.")
    assert error.next_step == "Keep one CREATE [MATERIALIZED] VIEW in each file."
    assert "it creates none" in _refused(read, "").problem
    assert "it creates none" in _refused(read, "-- only a comment\n").problem


def test_a_file_with_two_relations_is_refused_and_both_named(read):
    error = _refused(read, _VIEW + "CREATE VIEW ml.w AS SELECT 1 AS x;")
    assert error.problem.endswith("relation, ml.v; it creates ml.v, ml.w.")


def test_a_wrong_file_name_is_refused_with_both_names(read):
    error = _refused(read, _VIEW, "ml.w.sql")
    assert error.problem.endswith("ml.w.sql creates ml.v; expected ml.w, as the file is called.")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CREATE VIEW v AS SELECT 1 AS x", "v has no schema."),
        ("CREATE VIEW ml.v AS SELECT a.x FROM a", "a has no schema."),
        ("CREATE VIEW ml.v AS SELECT 1 FROM ml.a JOIN b ON TRUE", "b has no schema."),
        (_MATERIALIZED + "CREATE INDEX i ON v (x)", "v has no schema."),
    ],
)
def test_an_unqualified_table_is_refused(read, text, found):
    error = _refused(read, text)
    assert found in error.problem
    assert error.next_step == (
        "Write schema.relation everywhere: a session's search_path must not matter."
    )


def test_a_relation_that_reads_itself_is_refused(read):
    error = _refused(read, "CREATE VIEW ml.v AS SELECT x FROM ml.v")
    assert error.problem.endswith("ml.v reads itself.")


def test_a_materialized_view_that_fills_itself_is_refused(read):
    filled = "CREATE MATERIALIZED VIEW ml.v AS SELECT a.x FROM ml.a AS a"
    error = _refused(read, filled)
    assert error.problem.endswith("fills ml.v when it creates it.")
    assert error.next_step == "End the query with WITH NO DATA: the first refresh fills it."
    _refused(read, filled + " WITH DATA")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP VIEW ml.w",
        "CREATE TABLE ml.t (x int)",
        "INSERT INTO ml.t VALUES (1)",
        "CREATE INDEX i ON ml.other (x)",
        "COMMENT ON VIEW ml.other IS 'x'",
        "COMMENT ON COLUMN ml.other.x IS 'x'",
        "GRANT SELECT ON ml.v TO public",
    ],
)
def test_a_statement_about_something_else_is_refused_and_shown(read, statement):
    error = _refused(read, _VIEW + statement)
    assert "a statement that does not belong to ml.v: " in error.problem
    assert repr(statement) in error.problem
    assert error.next_step == (
        "Keep only what creates ml.v, its indexes and its comments; move the rest."
    )


@pytest.mark.parametrize("text", ["SELECT 'open", "SELECT )", "CREATE VIEW ml.v AS SELEC FROM ("])
def test_what_is_not_sql_is_refused_as_such(read, text):
    assert "cannot be read as SQL" in _refused(read, text).problem


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "ml.v.sql"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot be read: "):
        read_sql_file(path)
    with pytest.raises(BadInput, match="cannot be read: "):
        read_sql_file(tmp_path / "ml.missing.sql")


def test_a_name_without_quotes_is_in_small_letters_as_for_the_database(read):
    """It would be looked for with its capitals, and missed, for ever."""
    file = read(
        'CREATE MATERIALIZED VIEW ML.V AS SELECT A.Id, A."Day" FROM iPhone.A WITH NO DATA;'
        'CREATE UNIQUE INDEX V_Id ON ml.v (Id, "Day"); COMMENT ON COLUMN Ml.v.ID IS $$x$$;'
    )
    assert (file.name, file.reads) == (Name("ml", "v"), {Name("iphone", "a")})
    assert file.unique_indexes == {"v_id": ("id", "Day")}
    assert file.described == {"id"}


def test_a_name_with_capitals_that_lacks_its_quotes_is_told_so(read):
    create = "CREATE VIEW bikes.{} AS SELECT 1 AS x"
    error = _refused(read, create.format("Foo"), "bikes.Foo.sql")
    assert error.problem.endswith("creates bikes.foo; expected bikes.Foo, as the file is called.")
    assert error.next_step.startswith("Put the name in quotes where it has capitals")
    assert read(create.format('"Foo"'), "bikes.Foo.sql").name == Name("bikes", "Foo")


@pytest.mark.parametrize("index", ["i" * 63, "i" + "ø" * 31], ids=["letters", "bytes"])
def test_the_name_of_an_index_has_at_most_the_bytes_that_the_database_keeps(read, index):
    """It would be looked for under its full name, and missed, for ever."""
    create = _MATERIALIZED + "CREATE INDEX {} ON ml.v (x);"
    assert list(read(create.format(index)).indexes) == [index]
    error = _refused(read, create.format(index + "i"))
    assert f"{index}i has 64 bytes; expected at most 63" in error.problem


@pytest.mark.parametrize(
    ("index", "plain"),
    [
        ("CREATE UNIQUE INDEX i ON ml.v (x)", True),
        ("CREATE UNIQUE INDEX i ON ml.v (x, y DESC)", True),
        ("CREATE INDEX i ON ml.v (x)", False),
        ("CREATE UNIQUE INDEX i ON ml.v (lower(x))", False),
        ("CREATE UNIQUE INDEX i ON ml.v (x, (y + 1))", False),
        ("CREATE UNIQUE INDEX i ON ml.v (x) WHERE x > 0", False),
    ],
)
def test_only_a_unique_index_over_columns_without_a_condition_allows_concurrent_refresh(
    read, index, plain
):
    assert bool(read(_MATERIALIZED + index).unique_indexes) is plain


@pytest.mark.parametrize(
    "text",
    [
        "-- a comment\n" + _VIEW,
        _VIEW.replace("SELECT", "SELECT /* here */"),
        _VIEW.replace("\n", "   \n\n\t"),
        _VIEW.lower(),
        _VIEW.replace("a.x", "A.X").replace("AS a", "as A").replace("FROM", "From"),
        _VIEW.rstrip().rstrip(";"),
        _VIEW + ";;",
    ],
)
def test_a_comment_white_space_and_the_case_of_words_are_no_change(read, text):
    assert read(text).definition == read(_VIEW).definition


def test_comments_are_the_dictionary_and_not_the_definition(read):
    before = read(_VIEW + "COMMENT ON VIEW ml.v IS 'one';")
    after = read(_VIEW + "COMMENT ON VIEW ml.v IS 'two';")
    assert before.definition == after.definition
    assert before.dictionary != after.dictionary


def test_an_index_is_part_of_the_definition(read):
    index = "CREATE INDEX i ON ml.v (x);"
    assert read(_MATERIALIZED).definition != read(_MATERIALIZED + index).definition


def test_letters_that_grow_in_capitals_do_not_shift_the_query_s_end(read):
    file = read(
        "CREATE MATERIALIZED VIEW ml.v AS SELECT a.x FROM ml.a AS a "
        "WHERE a.x = 'Straße' WITH NO DATA"
    )
    assert file.reads == {Name("ml", "a")}
