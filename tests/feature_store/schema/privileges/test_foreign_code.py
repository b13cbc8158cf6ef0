"""Code of others that reading the store would run: it is named before any of it runs."""

from __future__ import annotations

import psycopg
import pytest

from feature_store.errors import NotReady
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.planning.rehearsal import rehearse
from feature_store.schema.privileges.foreign_code import carried_code
from feature_store.schema.readiness import check_code, check_ready
from tests.feature_store.schema.hand_built import OWNER
from tests.feature_store.validation.leaks.variants import LISTINGS, RULES, make_source_a_view
from tests.relations import D3, E_AI, E_CLEAN, F0, F3, A

_IMAGES = "feature_store.device_image_features_unified_v1"
_AI = '"iPhone".iphone_ai_enrich'
_YES = "public.yes(integer)"
# It leaves a trace wherever it runs, although it is declared immutable.
_TRAP = (
    "CREATE SEQUENCE public.ran",
    "CREATE FUNCTION public.yes(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
    "$$BEGIN PERFORM nextval('public.ran'); RETURN true; END$$",
)
# What is done to a source, and how that is told.
_CARRIED = {
    "an index's condition": (
        [f"CREATE INDEX odd ON {LISTINGS} (price) WHERE public.yes(1)"],
        "iPhone.iphone_listings: its index odd",
    ),
    "an index's expression": (
        [f"CREATE INDEX odd ON {LISTINGS} ((public.yes(price)))"],
        "iPhone.iphone_listings: its index odd",
    ),
    "an index of a store's own relation": (
        [f"CREATE INDEX odd ON {A} (price) WHERE public.yes(1)"],
        f"{A}: its index odd",
    ),
    "extended statistics": (
        [f"CREATE STATISTICS odd ON (public.yes(opening_offer_nok)) FROM {_AI}"],
        "iPhone.iphone_ai_enrich: its statistics odd",
    ),
    "a CHECK constraint": (
        [f"ALTER TABLE {_IMAGES} ADD CONSTRAINT odd CHECK (public.yes(generation))"],
        f"{_IMAGES}: its constraint odd",
    ),
    "a stored generated column": (
        [f"ALTER TABLE {LISTINGS} ADD odd boolean GENERATED ALWAYS AS (public.yes(price)) STORED"],
        "iPhone.iphone_listings: its generated column odd",
    ),
    "a child": (
        [
            f'CREATE TABLE "iPhone".more () INHERITS ({LISTINGS})',
            'CREATE INDEX odd ON "iPhone".more (price) WHERE public.yes(1)',
        ],
        "iPhone.more: its index odd",
    ),
    "a parent": (
        [
            "CREATE TABLE public.parent (listing_id bigint, CONSTRAINT odd CHECK (public.yes(1)) "
            "NO INHERIT)",
            f"ALTER TABLE {_AI} INHERIT public.parent",
        ],
        "public.parent: its constraint odd",
    ),
    "an operator of a user's over a function of the server's": (
        [
            "CREATE OPERATOR public.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
            "CREATE FUNCTION public.yes(a int, b int) RETURNS boolean LANGUAGE sql IMMUTABLE "
            "RETURN public.yes(1)",
            "CREATE OPERATOR public.!=== (FUNCTION = public.yes, LEFTARG = int, RIGHTARG = int, "
            "NEGATOR = OPERATOR(public.===))",
            f"CREATE INDEX odd ON {LISTINGS} (price) WHERE NOT (price OPERATOR(public.===) 1)",
        ],
        "iPhone.iphone_listings: its index odd",
    ),
    "a cast of a user's": (
        [
            "CREATE TYPE public.odd AS ENUM ('a')",
            "CREATE FUNCTION public.odd(n int) RETURNS public.odd LANGUAGE plpgsql IMMUTABLE AS "
            "$$BEGIN PERFORM public.yes(n); RETURN 'a'; END$$",
            "CREATE CAST (int AS public.odd) WITH FUNCTION public.odd(int)",
            f"CREATE INDEX odd ON {LISTINGS} ((price::public.odd))",
        ],
        "iPhone.iphone_listings: its index odd",
    ),
    "a cast to a domain": (
        [
            "CREATE DOMAIN public.odd AS int CHECK (public.yes(value))",
            f"CREATE INDEX odd ON {LISTINGS} ((price::public.odd))",
        ],
        "iPhone.iphone_listings: its index odd",
    ),
}
_PARTITIONED = (
    f"ALTER TABLE {LISTINGS} RENAME TO raw",
    f'CREATE TABLE {LISTINGS} (LIKE "iPhone".raw) PARTITION BY LIST (public.yes(price))',
    f'CREATE TABLE "iPhone".rest PARTITION OF {LISTINGS} DEFAULT',
)


def _ran(database) -> bool:
    return database.value("SELECT is_called FROM public.ran")


def _problems(database, include) -> list[str]:
    with pytest.raises(NotReady) as caught:
        check_ready(database.connection, include.store, include.settings)
    return caught.value.problem.split("\n  - ")[1:]


@pytest.mark.parametrize("carried", _CARRIED)
def test_a_function_that_a_table_brings_along_is_refused_before_it_runs(store_db, include, carried):
    statements, told = _CARRIED[carried]
    store_db.run(*_TRAP, *statements, "ALTER SEQUENCE public.ran RESTART")

    plan = make_plan(store_db.connection, include.store, include.directory)
    (problem,) = _problems(store_db, include)

    assert not _ran(store_db)
    assert problem.startswith(f"{told} uses ")
    assert str(include.directory / "leak_rules.toml") in problem
    assert plan.carried == (problem.replace("\n    ", "\n"),)
    assert "Attached to relations, and not in their files: 1" in str(plan)


def test_what_is_refused_would_have_run(store_db):
    """The planner evaluates an index's condition for everybody who reads the table, in any way."""
    store_db.run(*_TRAP, f"CREATE INDEX odd ON {LISTINGS} (price) WHERE public.yes(1)")
    store_db.run("ALTER SEQUENCE public.ran RESTART", f"SELECT count(*) FROM {LISTINGS}")
    assert _ran(store_db)


def test_nothing_of_the_store_itself_is_code_of_others(store):
    assert carried_code(store.connection, store.files, RULES) == []


def test_the_key_of_a_partitioned_source_is_looked_into(scratch_sources, store_files):
    scratch_sources.run(*_TRAP, *_PARTITIONED)
    said = carried_code(scratch_sources.connection, store_files, RULES)
    assert any(s.startswith("iPhone.iphone_listings: its partition key uses ") for s in said)


@pytest.mark.parametrize(
    "told",
    [
        "query_to_xml('SELECT 1', true, true, '')",
        "table_to_xml('public.anything', true, true, '')",
        "set_config('row_security', 'on', false)",
    ],
)
def test_a_source_that_is_a_view_may_call_nothing_that_can_do_anything(scratch, store_files, told):
    """A view's functions run with the rights of whoever asks, and some run what they are told."""
    scratch.run("CREATE VIEW public.anything AS SELECT 1 AS n")
    make_source_a_view(
        scratch, store_files, f'SELECT r.* FROM "iPhone".raw AS r WHERE {told} IS NOT NULL'
    )
    (said,) = carried_code(scratch.connection, store_files, RULES)
    assert said.startswith(f"iPhone.iphone_listings: its query uses {told.split('(')[0]}(")
    assert "the relation's file does not have it" in said


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            f"CREATE FOREIGN TABLE {_IMAGES} () INHERITS (feature_store.near) SERVER there",
            "is a foreign table, whose rows come from elsewhere; nothing can be proven about it.\n"
            "Next: copy its rows into a table before each run, and use that table as the source.",
        ),
        (
            f"CREATE VIEW {_IMAGES} WITH (security_invoker) AS SELECT * FROM feature_store.near",
            "answers with the rights of whoever asks (security_invoker).\n"
            'Next: ALTER VIEW "feature_store"."device_image_features_unified_v1" '
            "RESET (security_invoker)",
        ),
    ],
    ids=["a foreign table", "a view that asks as its reader"],
)
def test_what_the_leak_gates_would_refuse_for_its_kind_is_refused_before_any_work(
    sources_db, include, made, told
):
    """The gates would find it only at the end of each night."""
    sources_db.run(
        f"ALTER TABLE {_IMAGES} RENAME TO near",
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER there FOREIGN DATA WRAPPER elsewhere",
        made,
    )
    plan = make_plan(sources_db.connection, include.store, include.directory)
    assert plan.carried == (f"{_IMAGES} {told}",)
    assert plan.problems
    with pytest.raises(NotReady, match=told.partition(" (")[0].partition(";")[0]):
        apply(sources_db.connection, include.store, include.settings)


# A column of the type that is read, with what makes the type.
_HELD = {
    "a domain with a check of the server's": (
        "CREATE DOMAIN public.odd AS numeric CHECK (VALUE > 0)"
    ),
    "a domain without a check": "CREATE DOMAIN public.odd AS text",
    "a domain with a check of somebody's": (
        "CREATE DOMAIN public.odd AS int CHECK (public.yes(VALUE))"
    ),
    "a domain over a domain": (
        "CREATE DOMAIN public.inner AS int CHECK (public.yes(VALUE));"
        "CREATE DOMAIN public.odd AS public.inner NOT NULL DEFAULT 1"
    ),
    "a domain over an enum": (
        "CREATE TYPE public.mood AS ENUM ('a'); CREATE DOMAIN public.odd AS public.mood"
    ),
}


@pytest.mark.parametrize("is_array", [False, True], ids=["one", "an array"])
@pytest.mark.parametrize("made", _HELD.values(), ids=_HELD)
def test_a_column_of_a_domain_that_is_only_read_is_let_be(scratch, store_files, made, is_array):
    """No check runs where a value is read or compared, whoever made it."""
    brackets = "[]" if is_array else ""
    scratch.run(*_TRAP, *made.split(";"), f"ALTER TABLE {LISTINGS} ADD odd public.odd{brackets}")
    scratch.run("ALTER SEQUENCE public.ran RESTART")
    make_source_a_view(
        scratch,
        store_files,
        "SELECT r.* FROM \"iPhone\".raw AS r WHERE r.odd::text <> '' "
        'OR EXISTS (SELECT x.odd FROM "iPhone".raw AS x GROUP BY x.odd)',
    )
    assert carried_code(scratch.connection, store_files, RULES) == []
    scratch.run('SELECT count(*) FROM "iPhone".iphone_listings GROUP BY odd ORDER BY odd')
    assert not _ran(scratch)


_MADE = {
    "a cast": "r.price::public.odd = 1",
    "a cast to a domain over it": "r.price::public.outer = 1",
    "an array out of a text": "r.title::public.odd[] IS NULL",
    "a row out of a text": "r.title::public.held IS NULL",
    "a row out of JSON": "jsonb_populate_record(NULL::public.held, '{\"n\": 1}') IS NULL",
    "a column out of JSON": (
        "EXISTS (SELECT FROM jsonb_to_record('{\"n\": 1}') AS t (n public.odd) WHERE t.n = 1)"
    ),
}


@pytest.mark.parametrize("condition", _MADE.values(), ids=_MADE)
@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("public.yes(VALUE)", f"{_YES}, a user's own function"),
        ("set_config('a.b', VALUE::text, false) <> ''", "set_config(text,text,boolean)"),
        ("VALUE > 0", None),
    ],
)
def test_the_checks_of_a_domain_are_looked_into_where_a_value_is_made(
    scratch, store_files, condition, check, told
):
    scratch.run(
        *_TRAP,
        f"CREATE DOMAIN public.odd AS int CHECK ({check})",
        "CREATE DOMAIN public.outer AS public.odd",
        "CREATE TYPE public.held AS (n public.odd)",
    )
    make_source_a_view(scratch, store_files, f'SELECT r.* FROM "iPhone".raw AS r WHERE {condition}')
    said = carried_code(scratch.connection, store_files, RULES)
    if told is None:
        assert said == []
    else:
        assert f"a value of the domain public.odd, whose check uses {told}" in "".join(said)


def test_a_type_that_a_person_vouches_for_is_let_be(store_db, include):
    """As those of extensions, whose functions are declared each by itself."""
    store_db.run(
        "CREATE TYPE public.span AS RANGE (subtype = int)",
        f"ALTER TABLE {LISTINGS} ADD odd public.span",
        f"CREATE INDEX odd ON {LISTINGS} (price) WHERE odd IS NOT NULL",
    )
    (problem,) = _problems(store_db, include)
    assert "uses the type public.span, which may run code of its own" in problem
    assert "or declare the type public.span under [[type]] in " in problem
    text = (include.directory / "leak_rules.toml").read_text()
    declared = '\n[[type]]\nname = "public.span"\nreason = "A range of whole numbers."\n'
    include.write("leak_rules.toml", text + declared)
    check_ready(store_db.connection, include.store, include.settings)


def test_what_lies_below_a_source_that_is_a_view_is_looked_into(scratch, store_files):
    make_source_a_view(scratch, store_files, 'SELECT * FROM "iPhone".raw')
    scratch.run(*_TRAP, 'CREATE INDEX odd ON "iPhone".raw (price) WHERE public.yes(1)')
    (said,) = carried_code(scratch.connection, store_files, RULES)
    assert said.startswith("iPhone.raw: its index odd uses public.yes(integer)")


def test_a_function_that_a_person_vouches_for_is_let_run(store_db, include):
    store_db.run(*_TRAP, f"CREATE INDEX odd ON {LISTINGS} (price) WHERE public.yes(1)")
    text = (include.directory / "leak_rules.toml").read_text()
    declared = f'\n[[function]]\nsignature = "{_YES}"\nreason = "It looks at its argument."\n'
    include.write("leak_rules.toml", text + declared)
    check_ready(store_db.connection, include.store, include.settings)


def test_functions_of_the_server_s_own_and_defaults_are_let_be(store_db, include):
    store_db.run(
        *_TRAP,
        f"CREATE INDEX odd ON {LISTINGS} (lower(title)) WHERE char_length(title) > 0",
        f"ALTER TABLE {LISTINGS} ADD CONSTRAINT known CHECK (edited_date < now())",
        f"ALTER TABLE {LISTINGS} ADD extra boolean",
        f"ALTER TABLE {LISTINGS} ALTER extra SET DEFAULT public.yes(1)",
    )
    check_ready(store_db.connection, include.store, include.settings)


def test_an_operator_class_is_trusted_only_as_far_as_it_is_a_superuser_s(
    store_db, include, new_role
):
    function = "public.order_of(integer,integer)"
    store_db.run(
        "CREATE FUNCTION public.order_of(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE "
        "RETURN btint4cmp(a, b)",
        "CREATE OPERATOR CLASS public.odd FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, "
        "OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 public.order_of(int, int)",
        f"CREATE INDEX odd ON {LISTINGS} (price public.odd)",
    )
    check_ready(store_db.connection, include.store, include.settings)

    store_db.run(f"ALTER FUNCTION {function} OWNER TO {new_role()}")

    (problem,) = _problems(store_db, include)
    assert problem.startswith(
        f"iPhone.iphone_listings: its index odd has an operator class with {function}"
    )


def test_nothing_is_applied_over_code_of_others(sources_db, include):
    sources_db.run(*_TRAP, f"CREATE INDEX odd ON {LISTINGS} (price) WHERE public.yes(1)")
    sources_db.run("ALTER SEQUENCE public.ran RESTART")
    with pytest.raises(NotReady, match="its index odd uses"):
        apply(sources_db.connection, include.store, include.settings)
    assert not _ran(sources_db)
    assert sources_db.value("SELECT to_regnamespace('feature_store_audit')") is None


_PRICES = "sql/base/ml.sold_prices_v1_mv.sql"


def test_a_query_that_every_run_would_refuse_is_not_applied(sources_db, include):
    """Its relation would be there, and stamped, before the first night says no."""
    sources_db.run(*_TRAP)
    include.edit(_PRICES, "WHERE", "WHERE public.yes(1) AND")
    with pytest.raises(NotReady) as caught:
        apply(sources_db.connection, include.store, include.settings)
    assert f"ml.sold_prices_v1_mv: its query uses {_YES}" in caught.value.problem
    assert sources_db.value("SELECT to_regnamespace('feature_store_audit')") is None


def test_a_query_that_every_run_would_refuse_replaces_none(store_db, include):
    store_db.run(*_TRAP)
    include.edit(_PRICES, "WHERE", "WHERE public.yes(1) AND")
    with pytest.raises(NotReady) as caught:
        apply(store_db.connection, include.store, include.settings, ["ml.sold_prices_v1_mv"])
    assert f"ml.sold_prices_v1_mv: its query uses {_YES}" in caught.value.problem
    assert carried_code(store_db.connection, include.store, RULES) == []


@pytest.mark.parametrize(
    ("statements", "query"),
    [
        (
            [
                "CREATE TABLE public.theirs (generation int, listing_id bigint, "
                "edited_date timestamptz, model text)",
                "CREATE INDEX odd ON public.theirs (listing_id) WHERE public.yes(1)",
            ],
            "SELECT * FROM public.theirs",
        ),
        (
            [f"CREATE INDEX odd ON {E_CLEAN} (price) WHERE public.yes(1)"],
            f"SELECT generation, listing_id, edited_date, model FROM {E_CLEAN}",
        ),
    ],
    ids=["it leaks, too", "it does not leak"],
)
def test_whether_a_relation_can_be_adopted_is_not_asked_of_code_of_others(
    hand_built, include, statements, query
):
    hand_built.run(
        *_TRAP,
        "GRANT ALL ON SEQUENCE public.ran TO PUBLIC",
        *statements,
        f"DROP MATERIALIZED VIEW {F0} CASCADE",
        f"CREATE MATERIALIZED VIEW {F0} AS {query} WITH NO DATA",
        f"CREATE UNIQUE INDEX theirs ON {F0} (generation, listing_id)",
        "ALTER SEQUENCE public.ran RESTART",
    )
    plan = make_plan(hand_built.connection, include.store, include.directory)
    with pytest.raises(NotReady):
        check_ready(hand_built.connection, include.store, include.settings)
    assert not _ran(hand_built)
    assert "its index odd" in "".join(plan.carried)


def test_tables_of_the_registry_that_somebody_else_owns_are_not_read(store_db, include, new_role):
    other = new_role()
    store_db.run(
        *_TRAP,
        "CREATE INDEX odd ON ml.feature_set (name) WHERE public.yes(1)",
        f"ALTER TABLE ml.feature_set OWNER TO {other}",
        "ALTER SEQUENCE public.ran RESTART",
    )
    plan = make_plan(store_db.connection, include.store, include.directory)
    with pytest.raises(NotReady):
        check_ready(store_db.connection, include.store, include.settings)
    assert not _ran(store_db)
    assert f"TABLE ml.feature_set belongs to {other}" in "".join(plan.unsafe)


def test_an_index_of_others_is_not_built_in_a_trial_either(store_db, include):
    """Whoever owns what is replaced may have put an index on it, which would be kept."""
    store_db.run(
        *_TRAP,
        f"CREATE INDEX odd ON {A} (price) WHERE public.yes(1)",
        "ALTER SEQUENCE public.ran RESTART",
    )
    plan = make_plan(store_db.connection, include.store, include.directory, [A])
    assert not _ran(store_db)
    assert f"{A}: its index odd" in "".join(plan.carried)


def test_a_query_that_calls_code_of_others_can_be_replaced(store_db, include):
    store_db.run(
        *_TRAP,
        "CREATE OR REPLACE VIEW ml.spam_listings_v1 AS SELECT DISTINCT l.listing_id "
        f"FROM {LISTINGS} AS l WHERE public.yes(1)",
    )
    assert "ml.spam_listings_v1: its query uses" in _problems(store_db, include)[0]

    apply(store_db.connection, include.store, include.settings, ["ml.spam_listings_v1"])

    check_ready(store_db.connection, include.store, include.settings)


def test_what_only_the_old_relation_reads_does_not_keep_it_from_being_replaced(sources_db, include):
    sources_db.run(
        "CREATE SCHEMA ml",
        "CREATE SCHEMA legacy",
        "CREATE FOREIGN DATA WRAPPER dummy",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER dummy",
        "CREATE FOREIGN TABLE legacy.far (generation int, sold_price int) SERVER elsewhere",
        f"CREATE MATERIALIZED VIEW {D3} AS SELECT * FROM legacy.far WITH NO DATA",
    )
    before = make_plan(sources_db.connection, include.store, include.directory)
    assert f"apply --replace {D3}" in str(before)
    apply(sources_db.connection, include.store, include.settings, [D3])
    assert make_plan(sources_db.connection, include.store, include.directory).empty


def test_an_index_on_the_old_relation_is_kept_and_so_looked_into(store_db, include):
    store_db.run(*_TRAP, f"CREATE INDEX odd ON {D3} (sold_price) WHERE public.yes(1)")
    with pytest.raises(NotReady, match="its index odd uses"):
        apply(store_db.connection, include.store, include.settings, [D3])


def test_a_rehearsal_does_not_run_the_old_query_if_that_runs_code_of_others(hand_built, include):
    with hand_built.session(OWNER) as connection:
        apply(connection, include.store, include.settings, [E_AI])
    hand_built.run(
        *_TRAP,
        f"DROP VIEW {F3}",
        f"CREATE VIEW {F3} AS SELECT generation, listing_id FROM {E_CLEAN} WHERE public.yes(1)",
        "ALTER SEQUENCE public.ran RESTART",
    )
    done = rehearse(hand_built.connection, include.store, include.settings, [F3], 5)
    assert not _ran(hand_built)
    (told,) = [str(one) for one in done.relations if str(one.name) == F3]
    assert "what readers have now is not compared: that would run code of others" in told
    assert "readers have no rows of it now" not in told


def test_a_task_that_runs_alone_looks_again_at_what_it_reads(store_db, include):
    store_db.run(*_TRAP, f"CREATE INDEX odd ON {_AI} (listing_id) WHERE public.yes(1)")
    listings = include.store.find(A).name
    check_code(store_db.connection, include.store, include.settings, listings)
    with pytest.raises(NotReady, match="its index odd"):
        check_code(
            store_db.connection,
            include.store,
            include.settings,
            include.store.find("ml.tom_features_v1_enriched_ai_clean_mv").name,
        )


class TestRowLevelSecurity:
    """It applies to whoever reads in the end: a view's owner, and for the record the refresher."""

    @pytest.fixture
    def secured(self, store_db, store_files, new_role):
        """A store whose owner has no special rights, over a source that shows nobody its rows."""
        owner = new_role()
        store_db.run(
            *_TRAP,
            f"CREATE POLICY nosy ON {LISTINGS} USING (public.yes(1))",
            f"ALTER TABLE {LISTINGS} ENABLE ROW LEVEL SECURITY",
            "ALTER SEQUENCE public.ran RESTART",
        )
        for relation in store_files.relations:
            kind = "MATERIALIZED VIEW" if relation.file.materialized else "VIEW"
            store_db.run(f"ALTER {kind} {relation.name} OWNER TO {owner}")
        return owner

    def test_it_is_refused_with_the_way_out(self, secured, store_db, store_files):
        (said,) = carried_code(store_db.connection, store_files, RULES)
        assert said.startswith(
            f"iPhone.iphone_listings is under row-level security, which applies to {secured}. "
        )
        assert f"Next: ALTER ROLE {secured} BYPASSRLS, or GRANT" in said
        assert not _ran(store_db)

    def test_the_refresher_that_records_what_it_saw_is_looked_at_too(
        self, secured, store_db, store_files, new_role
    ):
        role = new_role()
        with store_db.session(role) as connection:
            (said,) = carried_code(connection, store_files, RULES)
        assert f"applies to {', '.join(sorted((role, secured)))}." in said

    @pytest.mark.parametrize("way", ["BYPASSRLS", "ownership"])
    def test_the_way_out_leads_out(self, secured, store_db, store_files, new_role, way):
        if way == "BYPASSRLS":
            store_db.run(f"ALTER ROLE {secured} BYPASSRLS")
        else:
            keeper = new_role()
            store_db.run(
                f"ALTER TABLE {LISTINGS} OWNER TO {keeper}", f"GRANT {keeper} TO {secured}"
            )
        assert carried_code(store_db.connection, store_files, RULES) == []
        if way == "ownership":
            store_db.run(f"ALTER TABLE {LISTINGS} FORCE ROW LEVEL SECURITY")
            assert len(carried_code(store_db.connection, store_files, RULES)) == 1

    def test_a_refresh_that_comes_all_the_same_runs_no_policy(self, secured, store_db):
        store_db.run(
            f'GRANT USAGE ON SCHEMA "iPhone", ml, public TO {secured}',
            f"GRANT SELECT ON {LISTINGS} TO {secured}",
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            store_db.run(f"REFRESH MATERIALIZED VIEW {A}")
        assert not _ran(store_db)
