"""What `init` finds in a catalog, and which folder each relation goes to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from feature_store.declarations.feature_sets import read_feature_set
from feature_store.declarations.files.sql_file import read_sql_file
from feature_store.declarations.folder_lint import folder_problems
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.source_tables import read_sources
from feature_store.declarations.suites import read_suites
from feature_store.declarations.undecided import MARK


@pytest.fixture
def written(empty_db, typed, tmp_path):
    """Build a store with these statements and let `init` write it down: its folder, the output.

    Once all is decided, nothing else may be wrong with the folder.
    """

    def write(*statements: str, options: tuple[str, ...] = ()) -> tuple[Path, str]:
        empty_db.run("CREATE TABLE public.t (a int, b int, day date)", *statements)
        code, out, err = typed(empty_db, "init", tmp_path / "new", *options)
        assert (code, err) == (0, "")
        others = [p for p in folder_problems(tmp_path / "new") if "to be decided" not in p]
        assert others == []
        decided = shutil.copytree(tmp_path / "new", tmp_path / "decided")
        for path in [p for p in decided.rglob("*") if p.is_file()]:
            path.write_text(re.sub(f'{MARK}[^"\n]*', "decided", path.read_text()))
        assert folder_problems(decided) == []
        return tmp_path / "new", out

    return write


def _mv(name: str, query: str = "SELECT t.a, t.b FROM public.t AS t", key: str = "a") -> list[str]:
    made = [f"CREATE MATERIALIZED VIEW {name} AS {query}"]
    return [*made, f"CREATE UNIQUE INDEX ON {name} ({key})"] if key else made


def test_what_has_no_key_blocks_and_so_does_what_it_reads(written):
    folder, _ = written(
        *_mv("public.below"),
        *_mv("public.beside"),
        "CREATE VIEW public.between AS SELECT x.a FROM public.below AS x",
        *_mv("public.inner", "SELECT x.a FROM public.between AS x", key=""),
        *_mv("public.upper", "SELECT x.a FROM public.inner AS x", key=""),
        *_mv("public.top", "SELECT x.a FROM public.inner AS x"),
    )
    found = {p.parent.name: set() for p in folder.glob("sql/*/public.*")}
    for path in folder.glob("sql/*/public.*"):
        found[path.parent.name].add(path.stem.removeprefix("public."))
    assert found["base"] == {"below", "inner", "upper"}
    assert found["read"] == {"beside", "top"}
    assert found["views"] == {"between"}
    refresh = {
        path.stem: next(x for x in path.read_text().splitlines() if x.startswith("-- Refresh"))
        for path in folder.glob("sql/base/*")
    }
    assert refresh["public.below"].endswith(
        "blocking, as public.inner, public.upper is, which reads it."
    )
    assert MARK not in refresh["public.inner"]  # only the DAG reads it
    assert MARK in refresh["public.upper"]


@pytest.mark.parametrize(
    "index",
    [
        "(a) WHERE b > 0", "((a + 1))", "(c text_pattern_ops)", '(c COLLATE "C")',
        "(a) NULLS NOT DISTINCT WHERE b > 0", "(a) NULLS NOT DISTINCT WITH (fillfactor = 90)",
    ],
)  # fmt: skip
def test_a_unique_index_by_which_no_concurrent_refresh_goes_is_no_key(written, index):
    made = _mv("public.m", "SELECT t.a, t.b, t.b::text AS c FROM public.t AS t", key="")
    folder, _ = written(*made, f"CREATE UNIQUE INDEX one ON public.m {index}")
    (path,) = folder.glob("sql/base/*")
    assert "what is one row?" in path.read_text()
    # A suite that has nothing to check could never be certified.
    assert list(read_suites(folder)) == ["proofs"]


@pytest.mark.parametrize(
    "index",
    ["(a) NULLS NOT DISTINCT", "(a) INCLUDE (b)", "(a) WITH (fillfactor = 90)", "(a DESC)"],
)
def test_a_unique_index_over_columns_is_a_key_however_it_is_said(empty_db, written, index):
    folder, _ = written(*_mv("public.m", key=""), f"CREATE UNIQUE INDEX one ON public.m {index}")
    empty_db.run("REFRESH MATERIALIZED VIEW CONCURRENTLY public.m")
    assert read_sql_file(folder / "sql/read/public.m.sql").unique_indexes == {"one": ("a",)}
    assert list(read_suites(folder)) == ["keys", "proofs"]


def test_names_with_capitals_and_columns_with_blanks_and_quotes_are_spelled(written):
    folder, _ = written(
        'CREATE SCHEMA "City"',
        'CREATE TABLE "City"."Counts" ("a b" int, "c""d" text, "order" int, "50%" int)',
        'CREATE MATERIALIZED VIEW public."M" AS SELECT * FROM "City"."Counts"',
        'CREATE UNIQUE INDEX "U" ON public."M" ("a b")',
        """COMMENT ON COLUMN public."M"."c""d" IS E'it''s\n\\ here: DECIDE it'""",
        "COMMENT ON MATERIALIZED VIEW public.\"M\" IS E'first\n-- second;\rDROP'",
        'CREATE MATERIALIZED VIEW public.n AS SELECT x."a b", x."50%" FROM public."M" AS x',
    )
    file = read_sql_file(folder / "sql/base/public.M.sql")
    assert file.unique_indexes == {"U": ("a b",)}
    assert file.described == {'c"d'}
    assert len(file.comments) == 2
    (source,) = read_sources(folder / "sources.toml")
    assert source.columns == {"a b": "int", 'c"d': "text", "order": "int", "50%": "int"}
    contract = read_feature_set(folder / "contracts/n.toml", "public")
    assert contract.other_columns == ("50%",)  # no feature may have this name
    assert "first -- second; DROP" in (folder / "sql/base/public.M.sql").read_text().splitlines()[0]


def test_sources_have_the_columns_that_are_read_with_their_types(written):
    folder, out = written(
        "CREATE TABLE public.parts (a int, j jsonb, u uuid, x int[], d date, c char(3), unread int)"
        " PARTITION BY LIST (a)",
        "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES IN (1)",
        "CREATE VIEW public.v AS SELECT t.a FROM public.t AS t",
        "CREATE SCHEMA other",
        "CREATE MATERIALIZED VIEW other.m AS SELECT t.a FROM public.t AS t",
        *_mv("public.m", "SELECT p.a, p.j, p.u, p.x, p.d, p.c, o.a AS b FROM public.parts AS p "
             "INNER JOIN other.m AS o ON p.a = o.a"),
        options=("--schemas", "public"),
    )  # fmt: skip
    other, parts = read_sources(folder / "sources.toml")
    assert str(parts.name) == "public.parts"
    assert parts.columns == {
        "a": "int", "j": "json", "u": "uuid", "x": "other", "d": "date", "c": "other",
    }  # fmt: skip
    assert other.columns == {"a": "int"}
    text = (folder / "sources.toml").read_text()
    assert "# A materialized view: who refreshes it now must go on doing so." in text
    assert "# A partitioned table." in text
    assert "left out, as no materialized view has to do with it: public.v" in out


def test_views_that_read_no_table_are_a_store(written):
    folder, _ = written(*_mv("public.m", "SELECT x AS a FROM generate_series(1, 9) AS x"))
    assert read_sources(folder / "sources.toml") == ()
    assert read_rules(folder).as_of == {}


def test_a_foreign_source_waits_for_a_decision(written):
    folder, _ = written(
        "CREATE FOREIGN DATA WRAPPER nowhere",
        "CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
        'CREATE FOREIGN TABLE public."far\n[x]" (a int) SERVER far',
        "CREATE SCHEMA other",
        'CREATE VIEW other.view AS SELECT f.a FROM public."far\n[x]" AS f',
        "CREATE MATERIALIZED VIEW public.m AS SELECT v.a FROM other.view AS v WITH NO DATA",
    )
    text = (folder / "sources.toml").read_text()
    assert (
        f"# {MARK} public.far [x] is a foreign table, whose rows come from elsewhere; nothing"
        in text
    )


def test_a_date_that_may_be_an_old_today_and_functions_of_users_wait_for_a_word(written):
    folder, _ = written(
        "CREATE FUNCTION public.f(int) RETURNS int IMMUTABLE LANGUAGE sql RETURN $1 + 1",
        "CREATE SCHEMA other",
        "CREATE VIEW other.v AS SELECT t.a FROM public.t AS t WHERE t.day > '2026-01-01'::date",
        *_mv("public.m", "SELECT public.f(v.a) AS a FROM other.v AS v, public.t AS t "
             "WHERE t.day < 'today'::date AND t.day <@ '[2026-01-01,2026-02-01)'::daterange"),
    )  # fmt: skip
    (path,) = folder.glob("sql/read/*")
    assert path.read_text().count("Did a person write that?") == 1
    rules = (folder / "leak_rules.toml").read_text()
    assert 'signature = "public.f(integer)"' in rules
    assert 'relation = "other.v"\nvalue = "2026-01-01"' in rules
    assert 'relation = "public.m"\nvalue = "of the type daterange"' in rules


def test_views_of_extensions_are_no_store(empty_db, typed, tmp_path):
    empty_db.run(
        "CREATE TABLE public.t (a int)",
        *_mv("public.mine", "SELECT t.a FROM public.t AS t"),
        *_mv("public.theirs", "SELECT t.a FROM public.t AS t"),
        # What CREATE EXTENSION leaves.
        "INSERT INTO pg_depend SELECT 'pg_class'::regclass, 'public.theirs'::regclass, 0, "
        "'pg_extension'::regclass, e.oid, 0, 'e' FROM pg_extension AS e WHERE extname = 'plpgsql'",
    )
    assert typed(empty_db, "init", tmp_path / "new")[0] == 0
    assert [p.name for p in (tmp_path / "new/sql/read").iterdir()] == ["public.mine.sql"]


def test_a_query_that_no_file_can_say_waits_for_other_words(empty_db, typed, tmp_path):
    empty_db.run(
        "CREATE TABLE public.t (a int)",
        "CREATE MATERIALIZED VIEW public.m AS "
        "SELECT j.a FROM public.t AS x JOIN public.t AS y USING (a) AS j",
    )
    assert typed(empty_db, "init", tmp_path / "new")[0] == 0
    assert (
        f"-- {MARK} this query has words that no file's reader knows."
        in (tmp_path / "new/sql/base/public.m.sql").read_text()
    )


def test_a_role_that_may_read_nothing_writes_the_same_folder(bikes, typed, tmp_path, new_role):
    assert typed(bikes, "init", tmp_path / "one")[0] == 0
    bikes.conninfo += f" user={new_role()}"
    assert typed(bikes, "init", tmp_path / "other")[0] == 0
    one, other = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")}
        for n in ("one", "other")
    )
    assert one == other


_REGISTRY = (
    "CREATE TABLE public.feature_set (set_id int, name text)",
    "CREATE TABLE public.feature_contract (set_id int, ordinal int, feature_name text, dtype text, "
    "expr_sql text, leakage_rule text, is_nullable boolean, description text)",
    "INSERT INTO public.feature_set VALUES (1, 'loads_v1'), (2, 'a/b')",
    "INSERT INTO public.feature_contract VALUES "
    "(1, 2, 'b', 'numeric', 'b', 'clip', FALSE, 'B \"quoted\"'), "
    "(1, 1, 'a', 'int', 'a + 0', 'none', TRUE, NULL), (1, 3, 'c', 'int', NULL, 'clip', TRUE, 'C'), "
    "(2, 1, 'a', 'int', NULL, NULL, TRUE, NULL)",
)


def test_a_set_that_two_registries_show_alike_gets_one_file(written):
    """Such as one registry, and views of it in another schema."""
    folder, _ = written(
        *_REGISTRY,
        "CREATE SCHEMA other",
        "CREATE VIEW other.feature_set AS SELECT * FROM public.feature_set",
        "CREATE VIEW other.feature_contract AS SELECT * FROM public.feature_contract",
        *_mv("public.m", "SELECT t.a, t.b::numeric AS b, t.b AS c FROM public.t AS t"),
        options=("--schemas", "public,other"),
    )
    assert [path.name for path in (folder / "contracts").iterdir()] == ["loads_v1.toml"]


@pytest.mark.parametrize("schema", ["other", "public"], ids=["two registries", "one registry"])
def test_different_sets_of_one_name_get_a_file_each_and_a_person_chooses(written, schema):
    makes = [s.replace("public.", "other.") for s in _REGISTRY[:2]] if schema == "other" else []
    folder, _ = written(
        *_REGISTRY,
        "CREATE SCHEMA other",
        *makes,
        f"INSERT INTO {schema}.feature_set VALUES (7, 'loads_v1')",
        f"INSERT INTO {schema}.feature_contract VALUES (7, 1, 'b', 'int', NULL, 'clip', TRUE, '')",
        *_mv("public.m", "SELECT t.a, t.b::numeric AS b, t.b AS c FROM public.t AS t"),
        options=("--schemas", "public,other"),
    )
    one, other = sorted((folder / "contracts").iterdir())
    found = [read_feature_set(path, "public") for path in (one, other)]
    assert [(s.name, s.schema, len(s.features)) for s in found] == [
        ("loads_v1", "public", 3), ("loads_v1_2", schema, 1),
    ]  # fmt: skip
    assert f"# {MARK} another set is called loads_v1" in other.read_text()


def test_contracts_are_those_of_the_registry_and_carried_by_the_last_that_has_their_columns(
    empty_db, written, typed, tmp_path, new_role
):
    of = "SELECT t.a, t.b::numeric AS b, t.b AS c, t.day FROM public.t AS t"
    folder, out = written(
        *_REGISTRY,
        *_mv("public.first", of),
        *_mv("public.last", "SELECT f.* FROM public.first AS f", key="c"),
        *_mv("public.other"),
    )
    (path,) = (folder / "contracts").iterdir()
    assert "feature sets left out, as no file can be called so: 'a/b'" in out
    assert MARK not in path.read_text()
    one = read_feature_set(path, "public")
    assert (one.name, str(one.relation), one.other_columns) == ("loads_v1", "public.last", ("day",))
    assert [f.payload for f in one.features] == [
        "1|a|int|a + 0|none|1", "2|b|numeric|b|clip|0", "3|c|int|c|clip|1",
    ]  # fmt: skip
    assert [f.description for f in one.features] == ["a", 'B "quoted"', "C"]
    # A role that may not read the registry gets a sketch of each set.
    empty_db.conninfo += f" user={new_role()}"
    assert typed(empty_db, "init", tmp_path / "other")[0] == 0
    assert {p.stem for p in (tmp_path / "other/contracts").iterdir()} == {"last", "other"}
