"""What a column is made of: the values that stand in it, not those that choose between them."""

from __future__ import annotations

import pytest

from feature_store.database.stored_queries.dependency_closure import read_closure
from feature_store.relation_name import Name
from feature_store.validation.leaks.column_origin import origins
from feature_store.validation.leaks.relation_influence import trace

_TABLES = (
    "CREATE TABLE ml.listing (id bigint, day date, city text, price int, battery int, flag bool)",
    "CREATE TABLE ml.sale (city text, day date, paid int, hours int)",
)
_READS_ALL = "FROM ml.listing AS l LEFT JOIN ml.sale AS s ON l.city = s.city AND l.day > s.day"


def _made_of(database, query: str) -> dict[str, str]:
    """Each column of a view of this query, with the columns that it is made of."""
    database.run(*_TABLES, f"CREATE VIEW ml.asked AS {query}")
    closure = read_closure(database.connection, [Name("ml", "asked")])
    member = closure.members[closure.roots[0]]
    found = origins(member)
    whole = trace(member).columns
    # What a value is made of also influences it, so the gates never find less.
    assert all(found[number] <= whole[number] for number in whole)
    return {
        name: " ".join(
            sorted(
                f"{closure.members[oid].name.relation}.{closure.members[oid].columns[column]}"
                for oid, column in found[number]
            )
        )
        for number, name in member.columns.items()
    }


@pytest.mark.parametrize(
    ("expression", "made_of"),
    [
        ("l.price", "listing.price"),
        ("l.price / nullif(s.paid, 0)", "listing.price sale.paid"),
        ("coalesce(s.paid, l.price)", "listing.price sale.paid"),
        ("7", ""),
        ("l.price > s.paid", "listing.price sale.paid"),
        # The condition of a CASE only chooses between values …
        ("CASE WHEN l.flag THEN l.price ELSE s.paid END", "listing.price sale.paid"),
        ("CASE WHEN s.hours > 9 THEN l.price END", "listing.price"),
        # … unless these are constants: then the condition is all that the answer is made of.
        ("CASE WHEN l.city = 'Oslo' THEN 1 ELSE 0 END", "listing.city"),
        ("CASE l.city WHEN 'Oslo' THEN 1 ELSE l.price END", "listing.city listing.price"),
        # An index chooses between an array's elements, as a condition chooses between rows.
        ("(ARRAY[l.price, l.battery])[s.hours]", "listing.battery listing.price"),
        ("(SELECT max(x.paid) FROM ml.sale AS x WHERE x.city = l.city)", "sale.paid"),
        ("(SELECT count(*) FROM ml.sale AS x WHERE x.hours > 1)", "sale.hours"),
        ("EXISTS (SELECT FROM ml.sale AS x WHERE x.hours > 1)", "sale.hours"),
        (
            "l.price IN (SELECT x.paid FROM ml.sale AS x WHERE x.hours > 1)",
            "listing.price sale.paid",
        ),
        ("lag(l.price) OVER (PARTITION BY l.city ORDER BY l.day)", "listing.price"),
    ],
)
def test_an_expression_is_made_of_values(scratch, expression, made_of):
    assert _made_of(scratch, f"SELECT {expression} AS x {_READS_ALL}") == {"x": made_of}


@pytest.mark.parametrize(
    ("aggregate", "made_of"),
    [
        ("sum(s.paid)", "sale.paid"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY s.paid)", "sale.paid"),
        ("array_agg(s.paid ORDER BY s.day)", "sale.paid"),
        ("sum(s.paid) FILTER (WHERE s.hours > 1)", "sale.paid"),
        # A count is made of nothing but the rows that it counts.
        ("count(*)", "sale.city"),
        ("count(*) FILTER (WHERE s.hours > 1)", "sale.city sale.hours"),
        ("count(s.paid)", "sale.paid"),
    ],
)
def test_an_aggregate_is_made_of_what_it_adds_up(scratch, aggregate, made_of):
    query = f"SELECT {aggregate} AS x FROM ml.sale AS s GROUP BY s.city"
    assert _made_of(scratch, query) == {"x": made_of}


def test_queries_inside_are_followed_to_the_tables(scratch):
    query = """
    WITH paid AS (SELECT s.city, avg(s.paid) AS mean FROM ml.sale AS s GROUP BY s.city)
    SELECT DISTINCT ON (l.id) l.id, p.mean, i.most
    FROM ml.listing AS l
    LEFT JOIN paid AS p ON l.city = p.city
    LEFT JOIN LATERAL (SELECT max(x.hours) AS most FROM ml.sale AS x WHERE x.day < l.day) AS i
        ON TRUE
    ORDER BY l.id, l.day
    """
    assert _made_of(scratch, query) == {
        "id": "listing.id",
        "mean": "sale.paid",
        "most": "sale.hours",
    }


def test_a_count_of_what_a_select_list_unnests_is_made_of_the_array(scratch):
    """Reached by it, too, as nothing else says how many rows there are."""
    query = """
    SELECT i.n AS x
    FROM ml.listing AS l
    CROSS JOIN LATERAL (
        WITH one AS (SELECT unnest(array_fill(1, ARRAY[l.price])))
        SELECT count(*) AS n FROM one
    ) AS i
    """
    assert _made_of(scratch, query) == {"x": "listing.price"}


def test_branches_of_a_union_meet_in_their_columns(scratch):
    query = "SELECT l.price AS x FROM ml.listing AS l UNION SELECT s.paid FROM ml.sale AS s"
    assert _made_of(scratch, query) == {"x": "listing.price sale.paid"}
