"""Leak gate 2: only the relations that are named for an outcome may read it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feature_store.relation_name import Name
from feature_store.validation.leaks.gate_context import EXCEPTIONS, FAILURE, OUTCOMES, TIME_OF_QUERY
from tests.feature_store.validation.leaks.variants import (
    LISTINGS,
    RULES,
    SPAM,
    flag_by,
    found,
    make_source_a_view,
    remake,
)
from tests.relations import D1, D3, E_CLEAN, F1, F3, A, B, C, E

_SOURCE = "iPhone.iphone_listings"
_OUTCOMES = ("sold_date", "sold_price", "real_sold_price", "last_seen", "status")
_JOIN = "FROM ml.tom_features_v1_mv AS f\nLEFT JOIN market"


def _outcomes(findings):
    """The relation, column and path of each outcome that is read without leave."""
    assert all(f.severity == FAILURE for f in findings)
    return [(f.relation, f.column, " → ".join(f.path)) for f in findings if f.gate == OUTCOMES]


def _columns(findings) -> set[str]:
    return {f.column for f in findings if f.gate == OUTCOMES}


def _enrich(database, store, join: str, column: str) -> None:
    """Give E one more join and one more column."""
    remake(
        database,
        store,
        E,
        (_JOIN, f"FROM ml.tom_features_v1_mv AS f {join}\nLEFT JOIN market"),
        ("AS ptv_final\n", f"AS ptv_final,\n    {column} AS hint\n"),
    )


_BY_LISTING = f"LEFT JOIN {LISTINGS} AS l ON f.listing_id = l.listing_id"
_JOINS = {
    "a column": (_BY_LISTING, "l.sold_price", {"sold_price"}),
    "a field of the row": (_BY_LISTING, "(l).sold_price", set(_OUTCOMES)),
    "the row as a field of a row": (_BY_LISTING, "(ROW(l)).f1 IS NULL", set(_OUTCOMES)),
    "the row as json": (_BY_LISTING, "to_jsonb(l) ->> 'sold_price'", set(_OUTCOMES)),
    "the row as text": (_BY_LISTING, "l::text", set(_OUTCOMES)),
    "the row compared": (_BY_LISTING, "l IS NOT NULL", set(_OUTCOMES)),
    "rows compared": (_BY_LISTING, "ROW(l.*) = ROW(l.*)", set(_OUTCOMES)),
    "the row counted": (
        "",
        f"(SELECT count(x) FROM {LISTINGS} AS x WHERE x.listing_id = f.listing_id)",
        set(_OUTCOMES),
    ),
    "the row of a join": (
        "",
        f"(SELECT max(j::text) FROM ({LISTINGS} AS x INNER JOIN {A} AS y USING (listing_id)) AS j)",
        set(_OUTCOMES),
    ),
    "all columns of a subquery": (
        f"LEFT JOIN (SELECT * FROM {LISTINGS}) AS l ON f.listing_id = l.listing_id",
        "l.price",
        set(_OUTCOMES),
    ),
    "the whole table": (
        f"LEFT JOIN LATERAL (TABLE {LISTINGS}) AS l ON f.listing_id = l.listing_id",
        "l.title",
        set(_OUTCOMES),
    ),
    "another name": (
        f"LEFT JOIN {LISTINGS} AS l (a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, s, t, u, v,"
        " w, x, y, z, aa, ab, ac, price_hint) ON f.listing_id = l.a",
        "l.price_hint",
        {"sold_price"},
    ),
    "a join by it": (
        f"LEFT JOIN {LISTINGS} AS l ON f.edited_date = l.sold_date",
        "l.price",
        {"sold_date"},
    ),
    "a filter by it": (
        f"LEFT JOIN (SELECT listing_id FROM {LISTINGS} WHERE status = 'sold') AS l "
        "ON f.listing_id = l.listing_id",
        "l.listing_id",
        {"status"},
    ),
    "an order by it": (
        "",
        f"(SELECT x.price FROM {LISTINGS} AS x ORDER BY x.last_seen LIMIT 1)",
        {"last_seen"},
    ),
    "a group by it": (
        "",
        f"(SELECT count(*) FROM (SELECT FROM {LISTINGS} AS x GROUP BY x.sold_date) AS g)",
        {"sold_date"},
    ),
    "a window over it": (
        f"LEFT JOIN (SELECT x.listing_id, row_number() OVER (ORDER BY x.sold_date) AS n "
        f"FROM {LISTINGS} AS x) AS l ON f.listing_id = l.listing_id",
        "l.n",
        {"sold_date"},
    ),
    "a recursive query": (
        f"LEFT JOIN LATERAL (WITH RECURSIVE r AS (SELECT x.listing_id, x.sold_price AS p FROM "
        f"{LISTINGS} AS x UNION SELECT r.listing_id, r.p FROM r) SELECT * FROM r) AS l "
        "ON f.listing_id = l.listing_id",
        "l.p",
        # A recursive query may use all that is in sight, the sales that E may read included.
        {"sold_price", "hint"},
    ),
    "a branch of a union": (
        f"LEFT JOIN (SELECT listing_id, price AS p FROM {A} UNION ALL "
        f"SELECT listing_id, real_sold_price FROM {LISTINGS}) AS l ON f.listing_id = l.listing_id",
        "l.p",
        {"real_sold_price"},
    ),
    "the sold durations by listing": (
        f"LEFT JOIN {D1} AS l ON f.listing_id = l.listing_id",
        "l.generation",
        {"listing_id", "hint"},
    ),
    "the sold durations by USING": (
        f"LEFT JOIN {D1} AS l USING (listing_id)",
        "l.generation",
        {"listing_id", "hint"},
    ),
    "how many sales of its cohort there are": (
        "",
        f"(SELECT count(*) FROM {D3} AS p WHERE p.generation = f.generation)",
        {"hint"},
    ),
    "that its cohort has a sale": (
        "",
        f"EXISTS (SELECT FROM {D1} AS d WHERE d.storage_gb = f.storage_gb)",
        {"hint"},
    ),
    "a label": (f"LEFT JOIN {B} AS l ON f.listing_id = l.listing_id", "l.sold_event", None),
    "that there is a label": ("", f"(SELECT count(*) FROM {B})", None),
    "the training base": (
        "LEFT JOIN ml.tom_train_base_v1_mv AS l ON f.listing_id = l.listing_id",
        "l.price",
        None,
    ),
}


@pytest.mark.parametrize(("join", "column", "read"), _JOINS.values(), ids=_JOINS)
def test_an_outcome_in_e_is_found_however_it_gets_there(scratch, store_files, join, column, read):
    _enrich(scratch, store_files, join, column)
    findings = found(scratch, store_files)
    outcomes = [f for f in findings if f.gate == OUTCOMES]
    assert {f.relation for f in outcomes} == {E}, "whoever reads E is not to blame"
    assert {f.file for f in outcomes} == {store_files.find(E).file.path}
    assert all(f.path[-1].startswith(E) for f in outcomes)
    if read is not None:
        assert _columns(findings) == read


def test_the_finding_names_file_column_and_path(scratch, store_files):
    _enrich(scratch, store_files, _BY_LISTING, "l.sold_price")
    (finding,) = found(scratch, store_files)
    assert str(finding) == (
        f"{E}, column sold_price: reads the outcome {_SOURCE}.sold_price (What was paid); "
        f"declared for it: ml.sold_prices_v1_mv.\n"
        f"File: {store_files.find(E).file.path}\n"
        f"Path: {_SOURCE}.sold_price → {E}"
    )


def test_a_new_file_that_brings_an_outcome_into_e_is_the_one_that_is_named(scratch, include):
    new = include.write(
        "sql/views/ml.price_hint_v1.sql",
        "CREATE VIEW ml.price_hint_v1 AS\n"
        f"SELECT l.listing_id, max(l.sold_price) AS paid FROM {LISTINGS} AS l GROUP BY 1;\n",
    )
    include.edit(
        "sql/read/ml.tom_features_v1_enriched_mv.sql",
        _JOIN,
        f"{_JOIN.splitlines()[0]}\nLEFT JOIN ml.price_hint_v1 AS h ON f.listing_id = h.listing_id"
        "\nLEFT JOIN market",
    )
    include.edit(
        "sql/read/ml.tom_features_v1_enriched_mv.sql", "AS ptv_final\n", "AS ptv_final, h.paid\n"
    )
    remake(scratch, include.store, E)
    (finding,) = found(scratch, include.store)
    assert (finding.relation, finding.file) == ("ml.price_hint_v1", new)
    assert finding.path == (f"{_SOURCE}.sold_price", "ml.price_hint_v1")


def test_a_label_that_comes_over_two_views_is_found_with_the_whole_way(scratch, store_files):
    scratch.run(
        f"CREATE VIEW public.one AS SELECT listing_id, duration_hours AS h FROM {B}",
        "CREATE VIEW public.two AS SELECT listing_id, h + 1 AS score FROM public.one",
    )
    _enrich(
        scratch, store_files, "LEFT JOIN public.two AS t ON f.listing_id = t.listing_id", "t.score"
    )
    assert _outcomes(found(scratch, store_files)) == [
        (E, column, way)
        for column, way in (
            ("listing_id", f"{B}.listing_id → public.one.listing_id → public.two.listing_id → {E}"),
            ("duration_hours", f"{B}.duration_hours → public.one.h → public.two.score → {E}"),
        )
    ]


def test_a_view_in_between_is_named_where_nobody_carries_on_what_it_reads(scratch, store_files):
    scratch.run(
        f"CREATE VIEW public.one AS SELECT l.listing_id, l.price, l.sold_price FROM {LISTINGS} AS l"
    )
    _enrich(
        scratch, store_files, "LEFT JOIN public.one AS t ON f.listing_id = t.listing_id", "t.price"
    )
    (finding,) = found(scratch, store_files)
    assert (finding.relation, finding.file, finding.column) == ("public.one", None, "sold_price")


def test_rows_that_a_view_chooses_by_an_outcome_carry_it(scratch, store_files):
    scratch.run(
        f"CREATE VIEW public.gone AS SELECT l.listing_id FROM {LISTINGS} AS l "
        "WHERE l.sold_date IS NOT NULL"
    )
    flag_by(scratch, "g.listing_id = l.listing_id", f"{LISTINGS} AS l, public.gone AS g")
    assert _outcomes(found(scratch, store_files)) == [
        (SPAM, "sold_date", f"{_SOURCE}.sold_date → public.gone.listing_id → {SPAM}")
    ]


@pytest.mark.parametrize("outcome", _OUTCOMES)
def test_no_outcome_chooses_the_row_of_a_listing(scratch, store_files, outcome):
    remake(
        scratch, store_files, A, ("l.edited_date ASC NULLS LAST,", f"l.{outcome} ASC NULLS LAST,")
    )
    assert _outcomes(found(scratch, store_files)) == [(A, outcome, f"{_SOURCE}.{outcome} → {A}")]


def test_a_declared_reader_may_not_make_another_column_of_an_outcome(scratch, store_files):
    remake(
        scratch,
        store_files,
        D1,
        ("l.storage_gb,", "l.storage_gb + extract(HOUR FROM l.sold_date)::int AS storage_gb,"),
    )
    assert _outcomes(found(scratch, store_files)) == [
        (D1, "storage_gb", f"{_SOURCE}.sold_date → {D1}.storage_gb")
    ]


_LATER = f"FROM {D1} AS d WHERE d.generation = f.generation AND d.sold_day > f.edited_date::date"


@pytest.mark.parametrize(
    "join",
    [
        f"LEFT JOIN LATERAL (SELECT DISTINCT 1 AS one {_LATER}) AS late ON TRUE",
        "LEFT JOIN LATERAL (SELECT 0 AS one WHERE FALSE "
        f"UNION ALL SELECT 1 {_LATER}) AS late ON TRUE",
        f"LEFT JOIN (SELECT d.generation, 1 AS one FROM {D1} AS d GROUP BY d.generation "
        "HAVING max(d.sold_day) > '2026-06-01') AS late ON f.generation = late.generation",
    ],
    ids=["a row", "a branch", "a group"],
)
def test_a_declared_reader_may_tell_of_an_outcome_in_no_other_column(scratch, store_files, join):
    """Here the constant 1 says that a comparable phone is sold later."""
    remake(
        scratch,
        store_files,
        E,
        (_JOIN, f"FROM ml.tom_features_v1_mv AS f\n{join}\nLEFT JOIN market"),
        ("f.title_length,", "f.title_length + 0 * coalesce(late.one, 0) AS title_length,"),
    )
    assert (E, "title_length", f"{D1}.sold_day → {E}.title_length") in _outcomes(
        found(scratch, store_files)
    )


@pytest.mark.parametrize(
    "told",
    [
        f"(SELECT count(*) FROM {B})",
        f"(SELECT 1 FROM {B} AS b LIMIT 1)",
        f"(SELECT x.one FROM (SELECT 1) AS y LEFT JOIN (SELECT 1 AS one FROM {B}) AS x ON TRUE "
        "LIMIT 1)",
    ],
    ids=["a count", "a row", "a row that is looked up"],
)
def test_a_declared_reader_may_not_tell_elsewhere_even_how_many_there_are(
    scratch, store_files, told
):
    remake(
        scratch, store_files, C, ("f.title_length,", f"f.title_length + {told} AS title_length,")
    )
    assert (C, "title_length", f"{B}.* → {C}.title_length") in _outcomes(
        found(scratch, store_files)
    )


def test_the_embargo_is_proven_for_declared_columns_and_no_other_may_use_the_sales(
    scratch, store_files
):
    _enrich(
        scratch,
        store_files,
        "",
        "(SELECT max(s.sold_price) FROM ml.sold_prices_v1_mv AS s)",
    )
    assert _outcomes(found(scratch, store_files)) == [
        (E, "hint", f"ml.sold_prices_v1_mv.sold_price → {E}.hint")
    ]


def test_a_column_that_is_named_has_its_own_readers_whatever_stands_first(scratch, store_files):
    """E may read the sales, but not whose they are."""
    _enrich(scratch, store_files, "", f"(SELECT max(d.listing_id) FROM {D1} AS d)")
    for rules in (RULES, replace(RULES, outcomes=RULES.outcomes[::-1])):
        assert "listing_id" in _columns(found(scratch, store_files, rules))


@pytest.mark.parametrize("rule", ["outcome", "not as of t0"])
def test_a_rule_about_a_column_that_its_relation_does_not_have_is_a_leak(
    scratch, store_files, rule
):
    """A slip of the pen would leave the column that is meant unguarded."""
    if rule == "outcome":
        some = replace(RULES.outcomes[0], relation=Name.parse(B), columns=("sold_evnet",))
        rules = replace(RULES, outcomes=(some, *RULES.outcomes))
    else:
        unknown = {(Name.parse(B), "sold_evnet"): "It is rewritten."}
        rules = replace(RULES, columns_not_as_of={**RULES.columns_not_as_of, **unknown})
    leaks = [f for f in found(scratch, store_files, rules=rules) if f.column == "sold_evnet"]
    assert [(leak.relation, leak.severity) for leak in leaks] == [(B, FAILURE)]
    assert leaks[0].words.startswith("leak_rules.toml names its column sold_evnet, which it does")


@pytest.mark.parametrize("sales", [D1, D3])
def test_how_many_sales_there_are_is_an_outcome(scratch, store_files, sales):
    """A row exists only once the sale happened, so a count of them knows later sales."""
    remake(
        scratch,
        store_files,
        F3,
        ("\nFROM", f",\n(SELECT count(*) FROM {sales}) AS hint\nFROM"),
    )
    assert {r for r, _, _ in _outcomes(found(scratch, store_files))} == {F3}


def test_an_outcome_below_a_source_that_is_a_view_keeps_its_name(scratch, store_files):
    """A source may rename or hide columns of tables below it; an outcome in it stays an outcome."""
    names = scratch.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
        "ORDER BY attnum",
        LISTINGS,
    )
    shown = ", ".join("sold_price AS price" if n == "price" else n for (n,) in names)
    make_source_a_view(scratch, store_files, f'SELECT {shown} FROM "iPhone".raw')
    assert sorted(_outcomes(found(scratch, store_files))) == [
        (reader, "sold_price", f"iPhone.raw.sold_price → {_SOURCE}.price → {reader}")
        for reader in ("ml.ask_daily_median_v1", A)
    ]


def test_a_generated_column_of_an_outcome_is_one(scratch, store_files):
    scratch.run(
        f"ALTER TABLE {LISTINGS} ADD COLUMN hint int GENERATED ALWAYS AS (sold_price + 1) STORED"
    )
    assert found(scratch, store_files) == (), "while nobody reads it"
    flag_by(scratch, "l.hint > 0")
    assert _outcomes(found(scratch, store_files)) == [
        (SPAM, "sold_price", f"{_SOURCE}.sold_price → {_SOURCE}.hint → {SPAM}")
    ]


def test_a_policy_that_shows_rows_by_an_outcome_is_found(scratch, store_files, new_role):
    scratch.run(
        f"ALTER MATERIALIZED VIEW {A} OWNER TO {new_role()}",
        f"CREATE POLICY open_only ON {LISTINGS} FOR SELECT USING (sold_date IS NULL)",
        f"ALTER TABLE {LISTINGS} ENABLE ROW LEVEL SECURITY",
    )
    assert _outcomes(found(scratch, store_files)) == [
        (_SOURCE, "sold_date", f"{_SOURCE}.sold_date → {_SOURCE}")
    ]


def test_a_policy_that_asks_the_labels_is_found(scratch, store_files, new_role):
    scratch.run(
        f"ALTER VIEW {F1} OWNER TO {new_role()}",
        f"CREATE POLICY open_only ON feature_store.device_image_features_unified_v1 USING ("
        f"EXISTS (SELECT 1 FROM {B} AS b WHERE b.listing_id = 1 AND b.sold_event))",
        "ALTER TABLE feature_store.device_image_features_unified_v1 ENABLE ROW LEVEL SECURITY",
    )
    assert {c for _, c, _ in _outcomes(found(scratch, store_files))} == {"listing_id", "sold_event"}


def test_whoever_reads_an_outcome_beside_the_feature_sets_is_nobody_s_affair(scratch, store_files):
    scratch.run(f"CREATE VIEW public.report AS SELECT * FROM {LISTINGS}")
    assert found(scratch, store_files) == ()


def test_the_row_as_json_fails_three_gates(scratch, store_files):
    _enrich(scratch, store_files, _BY_LISTING, "to_jsonb(l) ->> 'sold_price'")
    assert {f.gate for f in found(scratch, store_files)} == {EXCEPTIONS, OUTCOMES, TIME_OF_QUERY}


def test_e_clean_may_not_bring_back_what_e_may_not_know(scratch, store_files):
    remake(
        scratch,
        store_files,
        E_CLEAN,
        ("e.ptv_final\n", f"e.ptv_final, (SELECT max(s.sold_day) FROM {D1} AS s) AS last_sale\n"),
    )
    assert _outcomes(found(scratch, store_files)) == [
        (E_CLEAN, "sold_day", f"{D1}.sold_day → {E_CLEAN}")
    ]
