"""What a stored query reads, and whether it can give other rows from the same tables."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.database.stored_queries.stored_query import StoredQuery, read_stored_query
from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from sandbox.server import available_versions

_SETUP = """
CREATE TABLE public.t (id int, at timestamptz, words text, number numeric);
CREATE TABLE public.u (id int);
CREATE SEQUENCE public.s;
CREATE FUNCTION public.mine(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION public.rows() RETURNS TABLE (id int) LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE DOMAIN public.little AS int CHECK (public.mine(VALUE) < 10);
CREATE DOMAIN public.past AS timestamptz CHECK (VALUE < now());
CREATE DOMAIN public.positive AS numeric CHECK (VALUE > 0);
CREATE TYPE public.span AS RANGE (subtype = int);
CREATE TABLE public.w (small public.little, span public.span);
CREATE OPERATOR public.## (FUNCTION = public.mine, RIGHTARG = int);
"""


class Queries:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def read(self, query: str) -> StoredQuery:
        self.connection.execute("DROP VIEW IF EXISTS public.v")
        self.connection.execute(f"CREATE VIEW public.v AS {query}".encode())
        return read_stored_query(self.connection, self.oid("public.v"))

    def oid(self, relation: str) -> int:
        return self.connection.execute("SELECT %s::regclass::oid", (relation,)).fetchone()[0]


@pytest.fixture(scope="module", params=available_versions(), ids=lambda version: f"pg{version}")
def queries(request, servers) -> Iterator[Queries]:
    server = servers[request.param]
    connection = psycopg.connect(server.create_database("stored_query"), autocommit=True)
    pin(connection, Settings(), "tests")
    connection.execute(_SETUP.encode())
    yield Queries(connection)
    connection.close()
    server.drop_database("stored_query")


DOUBTFUL = {
    "now()": "SELECT now() FROM public.t",
    "current_date": "SELECT 1 FROM public.t WHERE at < current_date",
    "current_timestamp": "SELECT current_timestamp",
    "localtime": "SELECT localtime",
    "current_user": "SELECT current_user",
    "clock_timestamp()": "SELECT clock_timestamp()",
    "age of now": "SELECT age(at) FROM public.t",
    "the word now": "SELECT words::timestamptz FROM public.t",
    "the word today": "SELECT 'today'::text::date",
    "random()": "SELECT id FROM public.t ORDER BY random()",
    "random in a subquery": "SELECT (SELECT max(random()) FROM public.u) FROM public.t",
    "random in a window": "SELECT sum(id) OVER (PARTITION BY random()) FROM public.t",
    "a setting": "SELECT current_setting('a.b', true)",
    "a sample": "SELECT id FROM public.t TABLESAMPLE SYSTEM (10)",
    "a sequence": "SELECT nextval('public.s')",
    "a function of the user's": "SELECT public.mine(id) FROM public.t",
    "an operator of the user's": "SELECT OPERATOR(public.##) id FROM public.t",
    "a function as a table": "SELECT * FROM public.rows()",
    "a type of the user's": "SELECT span FROM public.w",
    "a cast to a domain with a check of the user's": "SELECT id::public.little FROM public.t",
    "a cast to a domain whose check asks for the time": "SELECT at::public.past FROM public.t",
    "a system column": "SELECT xmin FROM public.t",
    "a text of a setting": "SELECT to_char(at, 'TMMonth') FROM public.t",
}


@pytest.mark.parametrize("query", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_query_that_may_give_other_rows_is_doubted(queries: Queries, query: str) -> None:
    assert queries.read(query).doubts


def test_json_that_is_read_as_a_date_is_doubted(queries: Queries) -> None:
    if queries.connection.info.server_version < 170000:
        pytest.skip("JSON_VALUE came with version 17")
    assert queries.read("SELECT JSON_VALUE(jsonb '\"now\"', '$' RETURNING date)").doubts


CONSTANT = {
    "columns": "SELECT id, words, number FROM public.t",
    "arithmetic": "SELECT id * 2 AS a, number / 3 AS b, round(number, 2) FROM public.t",
    "words": "SELECT lower(trim(words)) || 'now()' AS a, words ~ 'now' AS b FROM public.t",
    "a day in the pinned zone": "SELECT at::date, date_trunc('day', at) FROM public.t",
    "an interval": "SELECT at - interval '1 day', extract(epoch FROM at) FROM public.t",
    "text of a number": "SELECT id::text, number::text FROM public.t",
    "a number in a text": "SELECT words::int AS a, words::numeric AS b FROM public.t",
    "aggregates": "SELECT words, count(*), max(at), string_agg(words, ',' ORDER BY id) "
    "FROM public.t GROUP BY words HAVING count(*) > 1",
    "windows": "SELECT dense_rank() OVER (PARTITION BY words ORDER BY at) FROM public.t",
    "a join": "SELECT t.id FROM public.t INNER JOIN public.u USING (id)",
    "a row comparison": "SELECT 1 FROM public.t WHERE (id, words) > (1, 'a')",
    "a series": "SELECT * FROM generate_series(1, 3)",
    "a text of a moment, in the pinned zone": "SELECT at::text, at > at::date FROM public.t",
    "a column of a domain": "SELECT small, small::text AS s FROM public.w GROUP BY small",
    "a cast to a domain": "SELECT id::public.positive AS n FROM public.t",
    "a name like a function": 'SELECT id AS "now()" FROM public.t AS "random()"',
}


@pytest.mark.parametrize("query", CONSTANT.values(), ids=CONSTANT)
def test_a_query_that_depends_on_its_tables_alone_is_not(queries: Queries, query: str) -> None:
    assert queries.read(query).doubts == ()


def test_it_names_what_it_reads_wherever_it_stands(queries: Queries) -> None:
    query = queries.read(
        "WITH x AS (SELECT id FROM public.t) SELECT id FROM x "
        "WHERE EXISTS (SELECT FROM pg_catalog.pg_class) AND id IN (SELECT id FROM public.u)"
    )
    names = ("public.t", "public.u", "pg_catalog.pg_class")
    assert query.reads == {queries.oid(name) for name in names}


def test_a_query_that_was_replaced_is_another_although_it_reads_the_same(queries: Queries) -> None:
    before = queries.read("SELECT id FROM public.t")
    queries.connection.execute("CREATE OR REPLACE VIEW public.v AS SELECT id FROM public.t")
    after = read_stored_query(queries.connection, queries.oid("public.v"))

    assert after.reads == before.reads
    assert after.version != before.version


def test_no_query_of_the_store_is_doubted(store, store_files: Store) -> None:
    for relation in store_files.relations:
        row = store.connection.execute(
            "SELECT %s::regclass::oid", (relation.name.quoted,)
        ).fetchone()
        assert read_stored_query(store.connection, row[0]).doubts == (), relation.name
