"""Leak gate 1: all that depends on when it is asked, or on who asks, is found."""

from __future__ import annotations

import dataclasses

import pytest

from feature_store.database.stored_queries.determinism import PINNED
from feature_store.validation.leaks.gate_context import FAILURE, TIME_OF_QUERY, WARNING
from tests.feature_store.validation.leaks.variants import (
    EXCEPTIONS,
    LISTINGS,
    RULES,
    SPAM,
    flag_by,
    found,
    make_missing,
    make_source_a_view,
    remake,
    words,
)
from tests.relations import F1, F3, A, E

# What stands in a query, and the words in which it must be found.
_DISGUISES = {
    "now": ("l.edited_date < now()", "now(), which is stable"),
    "current_date": ("l.edited_date < current_date", "uses current_date"),
    "current_time": ("l.edited_date::timetz < current_time", "uses current_time"),
    "current_timestamp": ("l.edited_date < current_timestamp", "uses current_timestamp"),
    "current_timestamp(0)": ("l.edited_date < current_timestamp(0)", "uses current_timestamp"),
    "localtimestamp": ("l.edited_date < localtimestamp", "uses localtimestamp"),
    "localtime": ("l.edited_date::time < localtime", "uses localtime"),
    "clock_timestamp": ("l.edited_date < clock_timestamp()", "clock_timestamp(), which is vol"),
    "transaction_timestamp": (
        "l.edited_date < transaction_timestamp()",
        "transaction_timestamp(), which is stable",
    ),
    "statement_timestamp": (
        "l.edited_date < statement_timestamp()",
        "statement_timestamp(), which is stable",
    ),
    "timeofday": ("l.title < timeofday()", "timeofday(), which is volatile"),
    "'now' as text": ("l.edited_date < 'now'::text::timestamptz", "timestamptz_in("),
    "'today' as text": ("l.edited_date < 'today'::text::date", "date_in("),
    "'now' by its input function": (
        "l.edited_date < timestamptz_in('now'::cstring, 0, -1)",
        "timestamptz_in(",
    ),
    "'now' in an array": ("l.edited_date < ('{now}'::text::timestamptz[])[1]", "array_in("),
    "'now' in a cast array": (
        "l.edited_date < ANY (string_to_array('now', ',')::timestamptz[])",
        "timestamptz_in(",
    ),
    "'now' in json": (
        """l.edited_date < (SELECT t FROM jsonb_to_record('{"t": "now"}') AS j (t timestamptz))""",
        "jsonb_to_record(jsonb), which is stable",
    ),
    "'now' in a row": (
        "l.edited_date < (('(,,,,now)'::text::pg_catalog.pg_timezone_names).name)::timestamptz",
        "record_in(",
    ),
    "age": ("age(l.edited_date) > '1 day'", "age(timestamp with time zone), which is stable"),
    "random": ("random() < 0.5", "random(), which is volatile"),
    "gen_random_uuid": ("gen_random_uuid()::text < l.title", "gen_random_uuid()"),
    "current_setting": ("current_setting('TimeZone') = 'UTC'", "current_setting(text)"),
    "current_user": ("current_user = 'x'", "uses current_user"),
    "session_user": ("session_user = 'x'", "uses session_user"),
    "current_schema": ("current_schema = 'x'", "uses current_schema"),
    "a transaction's number": ("pg_current_xact_id()::text = l.title", "pg_current_xact_id()"),
    "when a row was written": ("l.xmin::text = l.title", "a system column"),
    "where a row stands": ("l.ctid = '(0,1)'", "a system column"),
    "whose function it is": ("pg_has_role('postgres', 'USAGE')", "pg_has_role("),
    "a sublink": ("EXISTS (SELECT 1 WHERE l.edited_date < now())", "now(), which is stable"),
    "now in an order": (
        "l.listing_id = (SELECT x.listing_id FROM "
        f"{LISTINGS} AS x ORDER BY x.edited_date - now() LIMIT 1)",
        "now(), which is stable",
    ),
    "now in a window's frame": (
        "l.listing_id IN (SELECT count(*) OVER (ORDER BY x.price ROWS "
        f"extract(EPOCH FROM now())::int PRECEDING) FROM {LISTINGS} AS x)",
        "now(), which is stable",
    ),
    "now in a recursive query": (
        "l.listing_id IN (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r "
        "WHERE n < extract(EPOCH FROM now())) SELECT n FROM r)",
        "now(), which is stable",
    ),
    "now among values": (
        "l.edited_date < (SELECT v.t FROM (VALUES (now()), (now())) AS v (t) LIMIT 1)",
        "now(), which is stable",
    ),
    "now as an aggregate's filter": (
        f"l.listing_id = (SELECT count(*) FILTER (WHERE x.edited_date < now()) FROM {LISTINGS} "
        "AS x)",
        "now(), which is stable",
    ),
    "statistics of the server": (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_stat_database)",
        "pg_stat_get_",
    ),
    "text of json": ("to_jsonb(l.edited_date)::text = l.title", "to_jsonb(anyelement)"),
    "an aggregate that says immutable and calls what is not": (
        f"(SELECT jsonb_object_agg(x.title, x.edited_date) FROM {LISTINGS} AS x) IS NULL",
        "jsonb_object_agg_transfn(",
    ),
    "a file of the server": ("pg_read_file('x') = l.title", "pg_read_file("),
    "any number": (
        "l.listing_id = (SELECT max(x.n) FROM "
        f"(SELECT row_number() OVER () AS n FROM {LISTINGS}) AS x)",
        "row_number without ORDER BY",
    ),
    "any neighbour": (
        "l.price > (SELECT max(x.p) FROM "
        "(SELECT lag(a.price) OVER (PARTITION BY a.generation) AS p "
        f"FROM {LISTINGS} AS a) AS x)",
        "lag without ORDER BY",
    ),
    "any rows before": (
        "l.price > (SELECT max(x.p) FROM (SELECT sum(a.price) OVER (ROWS 3 PRECEDING) AS p "
        f"FROM {LISTINGS} AS a) AS x)",
        "a window of ROWS without ORDER BY",
    ),
    "texts in any order": (
        f"l.title = (SELECT string_agg(x.title, ',') FROM {LISTINGS} AS x)",
        "string_agg without ORDER BY",
    ),
    "any value": (
        f"l.price = (SELECT any_value(x.price) FROM {LISTINGS} AS x)",
        "any_value, which takes any row of several",
    ),
    "any value of a window": (
        f"l.price IN (SELECT any_value(x.price) OVER () FROM {LISTINGS} AS x)",
        "any_value, which takes any row of several",
    ),
    "any element": (
        f"l.price = (SELECT (array_agg(x.price))[1] FROM {LISTINGS} AS x)",
        "an element of array_agg without ORDER BY",
    ),
    "any element of a subquery's": (
        "l.price = (SELECT s.prices[1] FROM "
        f"(SELECT array_agg(x.price) AS prices FROM {LISTINGS} AS x) AS s)",
        "an element of array_agg without ORDER BY",
    ),
    "any row": (
        f"l.price = (SELECT x.price FROM {LISTINGS} AS x LIMIT 1)",
        "LIMIT or OFFSET without ORDER BY, which takes any rows",
    ),
    "all but any row": (
        f"l.price IN (SELECT x.price FROM {LISTINGS} AS x OFFSET 1)",
        "LIMIT or OFFSET without ORDER BY",
    ),
    "any row of each": (
        "l.price IN (SELECT y.price FROM "
        f"(SELECT DISTINCT ON (x.listing_id) x.price FROM {LISTINGS} AS x "
        "ORDER BY x.listing_id) AS y)",
        "DISTINCT ON without ORDER BY of another column",
    ),
    "a query in a text": (
        "query_to_xml('SELECT now()', TRUE, TRUE, '')::text = l.title",
        "query_to_xml(",
    ),
}


@pytest.mark.parametrize(("condition", "said"), _DISGUISES.values(), ids=_DISGUISES)
def test_what_depends_on_when_or_who_is_found_wherever_it_hides(
    scratch, store_files, condition, said
):
    flag_by(scratch, condition)
    findings = [f for f in found(scratch, store_files) if f.gate == TIME_OF_QUERY]
    assert any(said in f.words for f in findings), findings
    assert all(f.severity == FAILURE for f in findings)
    here = next(f for f in findings if said in f.words)
    if here.relation == SPAM:
        assert here.file == store_files.find(SPAM).file.path
        assert here.path[0] == SPAM
        assert here.path[-1] == "ml.tom_features_v1_enriched_ai_clean_mv"


_HARMLESS = {
    "a column called now": (
        "x.now = x.current_date",
        '(SELECT title AS now, title AS "current_date"',
    ),
    "a text called now": ("l.title = 'now()' AND 'now' <> l.title", ""),
    "an alias called now": ("l.listing_id = 1", ""),
    "the first element in an order": (
        f"l.price = (SELECT (array_agg(x.price ORDER BY x.listing_id))[1] FROM {LISTINGS} AS x) "
        f"OR l.price = (SELECT (array_agg(DISTINCT x.price))[1] FROM {LISTINGS} AS x)",
        "",
    ),
    "an array in any order": (
        f"l.price = ANY((SELECT array_agg(x.price) FROM {LISTINGS} AS x)::int[])",
        "",
    ),
    "a comment": ("l.listing_id = 1 /* now(), random() */ -- current_date\n", ""),
    "immutable functions": (
        "lpad(upper(l.title), 3) = 'A' AND age(l.edited_date, l.edited_date) = '0' "
        "AND l.edited_date AT TIME ZONE 'UTC' > make_date(2020, 1, 1) "
        "AND log(l.price) > 0 "
        "AND l.price IS DISTINCT FROM 1 AND l.price = ANY (ARRAY[1, 2]) AND l.title ~ 'x'",
        "",
    ),
    "an order that is said": (
        "x.n = 1",
        "(SELECT row_number() OVER (ORDER BY a.listing_id) AS n, lag(a.title) OVER w AS t, "
        "sum(a.price) OVER (w ROWS 3 PRECEDING) AS s, rank() OVER () AS r, count(*) OVER () AS c "
        f"FROM {LISTINGS} AS a WINDOW w AS (ORDER BY a.listing_id)",
    ),
    "an order that is said below": (
        "x.t = 'x'",
        "(SELECT string_agg(a.title, ',') AS t, string_agg(DISTINCT a.title, ',') AS u "
        f"FROM (SELECT title FROM {LISTINGS} ORDER BY title) AS a",
    ),
    "rows of which all are alike": (
        f"EXISTS (SELECT a.price FROM {LISTINGS} AS a LIMIT 1) AND x.one = 1",
        f"(SELECT 1 AS one FROM {LISTINGS} AS a LIMIT 1",
    ),
    "a limit that takes nothing away": (
        "x.price = 1",
        f"(SELECT a.price, (SELECT max(b.price) FROM {LISTINGS} AS b LIMIT 1) "
        f"FROM {LISTINGS} AS a LIMIT ALL OFFSET 0",
    ),
    "the first of each": (
        "x.price = 1",
        f"(SELECT DISTINCT ON (a.listing_id) a.price FROM {LISTINGS} AS a "
        "ORDER BY a.listing_id, a.edited_date",
    ),
}


@pytest.mark.parametrize("case", _HARMLESS, ids=str)
def test_a_name_or_a_text_is_no_call(scratch, store_files, case):
    condition, inner = _HARMLESS[case]
    tables = f"{LISTINGS} AS l"
    if inner:
        tables += f" CROSS JOIN LATERAL {inner}) AS x"
    if case == "an alias called now":
        tables = f"{LISTINGS} AS now (now) INNER JOIN {LISTINGS} AS l ON now.now = l.listing_id"
    flag_by(scratch, condition, tables)
    assert found(scratch, store_files) == ()


@pytest.mark.parametrize(
    "name",
    [":funcid", "a b", "a)b", "{FUNCEXPR :funcid 1299}", "<>", "a\\b", '"', "a\nb", "\u00a0"],
)
def test_no_name_can_mislead_the_reader_of_trees(scratch, store_files, name):
    quoted = '"' + name.replace('"', '""') + '"'
    flag_by(
        scratch,
        "x.a = 1",
        f"{LISTINGS} AS l CROSS JOIN LATERAL (SELECT {quoted}.{quoted} AS a FROM "
        f"(SELECT 1 AS {quoted}) AS {quoted}) AS x",
    )
    assert found(scratch, store_files) == ()
    flag_by(
        scratch,
        "x.a < now()",
        f"{LISTINGS} AS l CROSS JOIN LATERAL (SELECT {quoted}.{quoted} AS a FROM "
        f"(SELECT l.edited_date AS {quoted}) AS {quoted}) AS x",
    )
    assert [f.gate for f in found(scratch, store_files)] == [TIME_OF_QUERY]


def test_a_sample_of_a_table_is_found(scratch, store_files):
    flag_by(scratch, "l.listing_id > 0", f"{LISTINGS} AS l TABLESAMPLE bernoulli (10)")
    assert words(found(scratch, store_files), TIME_OF_QUERY) == [
        f"{SPAM}: its query uses TABLESAMPLE, which takes different rows each time."
    ]


_FUNCTIONS = {
    "a SQL function": "RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    "a new-style SQL function": "RETURNS timestamptz LANGUAGE sql RETURN now()",
    "a PL/pgSQL function": "RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RETURN now(); END'",
    "one falsely marked IMMUTABLE": (
        "RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN now(); END'"
    ),
    "one marked IMMUTABLE that calls another": (
        "RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT public.inner_clock()'"
    ),
    "one of the server's under another name": (
        "RETURNS timestamptz LANGUAGE internal IMMUTABLE AS 'now'"
    ),
}


@pytest.mark.parametrize("definition", _FUNCTIONS.values(), ids=_FUNCTIONS)
def test_a_users_function_is_not_believed_whatever_it_says(scratch, store_files, definition):
    scratch.run(
        "CREATE FUNCTION public.inner_clock() RETURNS timestamptz LANGUAGE sql IMMUTABLE "
        "AS 'SELECT now()'",
        f"CREATE FUNCTION public.clock() {definition}",
    )
    flag_by(scratch, "l.edited_date < public.clock()")
    (finding,) = found(scratch, store_files)
    assert (finding.gate, finding.relation) == (TIME_OF_QUERY, SPAM)
    assert "its query uses public.clock(), a user's own" in finding.words


_USER_CODE = {
    "operator": (
        "CREATE OPERATOR public.<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = public.f)",
        "l.price OPERATOR(public.<<<) 1",
    ),
    "cast": (
        "CREATE TYPE public.box AS (n int); CREATE FUNCTION public.to_box(int) RETURNS public.box "
        "LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::public.box'; CREATE CAST (int AS public.box) "
        "WITH FUNCTION public.to_box(int)",
        "(l.price::public.box).n = 1",
    ),
    "aggregate": (
        "CREATE FUNCTION public.step(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; "
        "CREATE AGGREGATE public.total(int) (SFUNC = public.step, STYPE = int)",
        f"l.price = (SELECT public.total(x.price) FROM {LISTINGS} AS x)",
    ),
    "domain": (
        "CREATE DOMAIN public.small AS int CHECK (public.f(VALUE, 1))",
        "l.price::public.small = 1",
    ),
    "range": (
        "CREATE TYPE public.span AS RANGE (subtype = int)",
        "public.span(l.price, l.price) = public.span(1, 2)",
    ),
}


@pytest.mark.parametrize(("create", "condition"), _USER_CODE.values(), ids=_USER_CODE)
def test_a_users_code_is_found_by_whatever_it_is_called(scratch, store_files, create, condition):
    scratch.run(
        "CREATE FUNCTION public.f(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE "
        "AS 'SELECT now() > ''2020-01-01'''"
    )
    scratch.run(*create.split("; "))
    flag_by(scratch, condition)
    findings = found(scratch, store_files)
    assert findings
    assert {(f.gate, f.relation) for f in findings} == {(TIME_OF_QUERY, SPAM)}


def test_a_declared_function_passes_and_no_other_of_its_name(scratch, store_files):
    for argument in ("int", "text"):
        scratch.run(
            f"CREATE FUNCTION public.ok({argument}) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        )
    rules = dataclasses.replace(RULES, functions={"public.ok(integer)": "looks at its argument"})
    flag_by(scratch, "public.ok(l.price)")
    assert found(scratch, store_files, rules) == ()
    flag_by(scratch, "public.ok(l.title)")
    assert len(found(scratch, store_files, rules)) == 1


def test_a_server_function_that_was_replaced_is_not_believed(scratch, store_files):
    scratch.run(
        "CREATE OR REPLACE FUNCTION pg_catalog.lower(text) RETURNS text LANGUAGE plpgsql IMMUTABLE "
        "STRICT AS 'BEGIN RETURN now()::text; END'"
    )
    assert any("lower(text)" in w for w in words(found(scratch, store_files), TIME_OF_QUERY))


def test_a_function_that_a_user_put_among_the_server_s_is_not_believed(scratch, store_files):
    scratch.run(
        "CREATE FUNCTION pg_catalog.clock() RETURNS timestamptz LANGUAGE internal IMMUTABLE "
        "AS 'now'"
    )
    flag_by(scratch, "l.edited_date < clock()")
    (finding,) = found(scratch, store_files)
    assert "its query uses clock(), a user's own" in finding.words


def test_a_source_that_is_a_view_is_looked_into(scratch, store_files):
    make_source_a_view(scratch, store_files, 'SELECT * FROM "iPhone".raw WHERE edited_date < now()')
    (finding,) = found(scratch, store_files)
    assert (finding.gate, finding.relation) == (TIME_OF_QUERY, "iPhone.iphone_listings")
    assert "now(), which is stable" in finding.words


def test_a_row_level_policy_is_looked_into_where_it_applies(scratch, store_files, new_role):
    scratch.run(f"CREATE POLICY recent ON {LISTINGS} USING (edited_date < now())")
    scratch.run(f"ALTER MATERIALIZED VIEW {A} OWNER TO {new_role()}")
    assert found(scratch, store_files) == (), "it is not in force"
    scratch.run(f"ALTER TABLE {LISTINGS} ENABLE ROW LEVEL SECURITY")
    assert words(found(scratch, store_files), TIME_OF_QUERY) == [
        "iPhone.iphone_listings: its row-level policy recent uses now(), which is stable."
    ]


@pytest.mark.parametrize("value", ["true", "on", "1", "YES"])
def test_a_view_that_asks_as_its_reader_is_found(scratch, store_files, value):
    scratch.run(f"ALTER VIEW {SPAM} SET (security_invoker = {value})")
    assert words(found(scratch, store_files), TIME_OF_QUERY) == [
        f"{SPAM}: answers with the rights of whoever asks (security_invoker)."
    ]
    scratch.run(f"ALTER VIEW {SPAM} SET (security_invoker = off)")
    assert found(scratch, store_files) == ()


def test_a_foreign_table_is_found_even_as_a_part_of_a_source(scratch, store_files):
    scratch.run(
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER there FOREIGN DATA WRAPPER elsewhere",
        f'CREATE FOREIGN TABLE "iPhone".far () INHERITS ({LISTINGS}) SERVER there',
    )
    assert words(found(scratch, store_files), TIME_OF_QUERY) == [
        "iPhone.far: is a foreign table, whose rows come from elsewhere; nothing can be proven "
        "about it."
    ]


@pytest.mark.parametrize(
    ("made_of", "is_found"), [("storage_gb * 20", False), ("sold_price", True)]
)
def test_a_part_that_computes_a_column_otherwise_than_its_parent_is_found(
    scratch, store_files, made_of, is_found
):
    """Readers of the parent get it under the parent's name: here it is an outcome."""
    column = "band int GENERATED ALWAYS AS ({}) STORED"
    scratch.run(
        f"ALTER TABLE {LISTINGS} ADD COLUMN {column.format('storage_gb * 20')}",
        f'CREATE TABLE "iPhone".older ({column.format(made_of)}) INHERITS ({LISTINGS})',
    )
    assert words(found(scratch, store_files), TIME_OF_QUERY) == is_found * [
        "iPhone.iphone_listings: reads iPhone.older, which computes its column band in another "
        "way, and nobody looks at what that is made of."
    ]


def test_a_sequence_is_found(scratch, store_files):
    scratch.run("CREATE SEQUENCE public.counter")
    flag_by(scratch, "l.price < c.last_value", f"{LISTINGS} AS l, public.counter AS c")
    assert "public.counter: is a sequence; nothing can be proven about it." in words(
        found(scratch, store_files), TIME_OF_QUERY
    )


def test_the_column_is_named_in_whose_expression_it_stands(scratch, store_files):
    remake(
        scratch,
        store_files,
        E,
        ("AS ptv_final\n", "AS ptv_final,\n extract(EPOCH FROM now() - f.edited_date) AS age_s\n"),
    )
    (finding,) = found(scratch, store_files)
    assert (finding.relation, finding.column) == (E, "age_s")
    assert str(finding).startswith(f"{E}, column age_s: its query uses now(), which is stable.")


def test_what_a_pinned_session_makes_safe_is_safe_in_a_materialized_view_alone(
    scratch, store_files
):
    """Readers work F1 out themselves, so its ::date is theirs, and a declared exception."""
    without = tuple(e for e in EXCEPTIONS if e.id != "live-zone")
    (finding,) = found(scratch, store_files, exceptions=without)
    assert (finding.gate, finding.severity, finding.relation) == (TIME_OF_QUERY, FAILURE, F1)
    assert "date(timestamp with time zone), whose answer depends on the session" in finding.words


@pytest.mark.parametrize(
    ("written", "by"),
    [
        ("g.gmc_seg_share::text::float8", "float8out(double precision)"),
        ("g.gmc_seg_share::real::text::float8", "float4out(real)"),
        ("length(g.color_bucket::bytea::text)::float8", "byteaout(bytea)"),
        ("length(point(g.gmc_seg_share, 0)::text)::float8", "point_out(point)"),
        ("date_part('day', age(b.t0, b.t0))", "age(timestamp with time zone,"),
    ],
)
def test_a_plain_view_gives_what_the_readers_session_writes(scratch, store_files, written, by):
    """PostgreSQL calls these functions immutable, and their answers depend on settings."""
    remake(scratch, store_files, F3, ("g.gmc_seg_share,", f"{written} AS gmc_seg_share,"))
    (told,) = words(found(scratch, store_files), TIME_OF_QUERY)
    assert f"uses {by}" in told
    assert "whose answer depends on the session" in told


def test_a_materialized_view_that_others_refresh_is_not_refreshed_in_a_pinned_session(
    scratch, store_files
):
    scratch.run(
        f"CREATE VIEW public.day AS SELECT x.listing_id, x.edited_date::date AS d FROM {A} AS x",
        "CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM public.day WITH NO DATA",
    )
    flag_by(scratch, "k.listing_id = l.listing_id", f"{LISTINGS} AS l, public.kept AS k")
    said = words(found(scratch, store_files), TIME_OF_QUERY)
    assert said == [
        "public.day: its query uses date(timestamp with time zone), whose answer depends on the "
        "session, and the store does not control the session that computes this."
    ]


def test_an_adopted_table_is_told_of_and_does_not_fail(scratch, store_files):
    f0 = "feature_store.listing_device_features_clean_mv"
    scratch.run(
        f"DROP MATERIALIZED VIEW {f0} CASCADE",
        f"CREATE TABLE {f0} (generation int, listing_id bigint, edited_date timestamptz, "
        f"model text)",
    )
    make_missing(scratch, store_files)
    (finding,) = found(scratch, store_files)
    assert (finding.severity, finding.relation) == (WARNING, f0)


def test_the_numbers_of_the_allowed_functions_are_theirs_on_every_version(store):
    live = store.connection.execute(
        "SELECT oid::int, oid::regprocedure::text, provolatile::text FROM pg_proc "
        "WHERE oid = ANY(%s)",
        (list(PINNED),),
    ).fetchall()
    assert {oid: name for oid, name, _ in live} == PINNED
    by_their_mark = {name for _, name, volatility in live if volatility == "i"}
    shapes = {f"{kind}_out" for kind in ("point", "lseg", "path", "box", "poly", "circle", "line")}
    assert {name.partition("(")[0] for name in by_their_mark} == {
        *("age", "byteaout", "float4out", "float8out"),
        *shapes,
    }
