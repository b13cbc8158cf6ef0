"""A relation is replaced and all that stands on it is kept, or nothing is done."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.errors import LeaseTaken, NotReady
from feature_store.schema import apply as applying
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import Plan, make_plan
from feature_store.schema.replacement.build_beside import build
from feature_store.schema.replacement.dependents import plan_replacement
from feature_store.schema.replacement.swap import swap
from tests.feature_store.schema.hand_built import OWNER, READER
from tests.relations import D3, E_AI, E_CLEAN, F1, A, E

_AI_FILE = f"sql/read/{E_AI}.sql"

# All that stands on a store: what it is and what it has, without OIDs.
_STANDING = """
SELECT format('%s %s %s %s %s', c.oid::regclass, c.relkind, c.relacl, c.reloptions,
    pg_get_userbyid(c.relowner))
FROM pg_class AS c WHERE c.oid::regclass::text ~ '^(ml|mine)\\.' AND relkind IN ('v', 'm')
UNION ALL
SELECT format('toast of %s %s', c.oid::regclass, t.reloptions)
FROM pg_class AS c INNER JOIN pg_class AS t ON c.reltoastrelid = t.oid WHERE c.relkind = 'm'
UNION ALL
SELECT format('column %s.%s %s %s', attrelid::regclass, attname, attacl, attstattarget)
FROM pg_attribute WHERE attrelid::regclass::text ~ '^(ml|mine)\\.' AND attnum > 0
UNION ALL
SELECT format('view %s %s %s', oid, oid::regclass, pg_get_viewdef(oid))
FROM pg_class WHERE relnamespace = 'mine'::regnamespace AND relkind = 'v'
UNION ALL
SELECT format('index %s %s', indexdef, obj_description(format('%I.%I', schemaname, indexname)
    ::regclass, 'pg_class')) FROM pg_indexes WHERE schemaname = 'ml'
UNION ALL
SELECT format('words %s %s %s', objoid::regclass, objsubid, description) FROM pg_description
WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text ~ '^(ml|mine)\\.'
"""


def _standing(database) -> set[str]:
    return {line for (line,) in database.rows(_STANDING)}


def _apply(database, include, *replace: str) -> Plan:
    with database.session(OWNER) as connection:
        return apply(connection, include.store, include.settings, replace)


def _apply_as_superuser(database, include, *replace: str) -> None:
    with database.session() as connection:
        apply(connection, include.store, include.settings, replace)


def _refused(database, include, *replace: str) -> str:
    before = database.snapshot()
    with pytest.raises(NotReady) as caught:
        _apply(database, include, *replace)
    assert database.snapshot() == before, "nothing was altered"
    return str(caught.value)


@pytest.fixture
def adopted(hand_built, include):
    """The hand-built store after its E-AI was replaced, with every relation filled."""
    _apply(hand_built, include, E_AI)
    return hand_built


# What is kept


def test_all_that_stands_on_the_old_one_stands_on_the_new_one(hand_built, include):
    had = _standing(hand_built)
    counted = hand_built.value("SELECT count(*) FROM mine.cheap")
    _apply(hand_built, include, E_AI)
    lost = had - _standing(hand_built)
    assert lost == set()
    assert hand_built.value("SELECT count(*) FROM mine.cheap") == counted


def test_views_read_the_new_one_with_their_readers_rights(hand_built, include):
    _apply(hand_built, include, E_AI)
    hand_built.run(f"GRANT USAGE ON SCHEMA ml, mine TO {READER}")
    with hand_built.session(READER) as connection:
        for view in ("mine.prices", E_AI):
            assert connection.execute(f"SELECT count(*) FROM {view}".encode()).fetchone() != (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM mine.cheap")


def test_what_every_new_relation_is_granted_by_default_is_not_granted_here(hand_built, include):
    hand_built.run(f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT SELECT ON TABLES TO {READER}")
    readable = f"SELECT has_table_privilege('{READER}', '{E_CLEAN}', 'SELECT')"
    assert not hand_built.value(readable)
    _apply(hand_built, include, E_CLEAN, E_AI)
    assert not hand_built.value(readable)


def test_what_is_new_is_granted_what_its_schema_grants_by_default(hand_built, include):
    """Before PostgreSQL 17 the refresher owns E-AI, and reads the new speed layer to fill it."""
    hand_built.run(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA ml GRANT SELECT ON TABLES TO {READER}"
    )
    _apply(hand_built, include, E_AI)
    readable = "SELECT has_table_privilege(%s, %s, 'SELECT')"
    assert hand_built.value(readable, READER, "ml.tom_features_v1_enriched_speed_mv")
    assert not hand_built.value(readable, READER, E_CLEAN)


def test_what_of_ours_reads_it_is_built_anew_and_is_what_it_was(adopted, include):
    plan = make_plan(adopted.connection, include.store, include.directory, [E])
    assert plan.replacement
    assert set(plan.replacement.along) == {
        E_CLEAN, E_AI, "ml.tom_speed_cohort_v1", "ml.tom_speed_anchor_v1_mv",
        "ml.tom_features_v1_enriched_speed_mv", "feature_store.listing_device_features_clean_mv",
        F1, "feature_store.device_count_day_v1_mv", "feature_store.device_meta_gmc_stats_t0_v1_mv",
        "feature_store.device_meta_encoded_t0_v1",
    }  # fmt: skip
    had = _standing(adopted)
    unfilled = "SELECT relname FROM pg_class WHERE relkind = 'm' AND NOT relispopulated"
    empty = adopted.rows(unfilled)
    _apply(adopted, include, E)
    assert had - _standing(adopted) == set()
    assert make_plan(adopted.connection, include.store, include.directory).empty
    assert adopted.rows(unfilled) == empty
    assert adopted.value("SELECT count(*) FROM pg_namespace WHERE nspname ~ '_(beside|gone)$'") == 0


def test_what_was_never_filled_stays_empty(store_db, include):
    include.edit(_AI_FILE, "ai.storage_gb_fixed_ai::int", "ai.storage_gb_fixed_ai::integer")
    apply(store_db.connection, include.store, include.settings, [E_AI])
    assert store_db.value("SELECT count(*) FROM pg_class WHERE relkind='m' AND relispopulated") == 0
    assert make_plan(store_db.connection, include.store, include.directory).empty


def test_words_of_the_file_are_new_and_words_of_others_stay(adopted, include):
    own = f"COMMENT ON COLUMN {E_AI}.ai_urgency_f IS 'Ask sales.'"
    adopted.run(own)
    include.edit(_AI_FILE, "'Negotiability, clipped", "'How negotiable, clipped")
    include.edit(_AI_FILE, "ai.storage_gb_fixed_ai::int", "ai.storage_gb_fixed_ai::integer")
    _apply(adopted, include, E_AI)
    words = (
        "SELECT col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attname = %s"
    )
    assert adopted.value(words, E_AI, "ai_negotiability_f").startswith("How negotiable")
    assert adopted.value(words, E_AI, "ai_urgency_f") == "Ask sales."
    assert adopted.value(words, E_AI, "price") == "In kroner."


def test_two_schemas_may_have_indexes_of_one_name(store_db, include):
    """First they are built under one name, then they also go under one."""
    device = "feature_store.listing_device_features_clean_mv"
    before = ("listing_device_features_clean_uq", "tfeat_enr_ai_clean_uq")
    for new in ("one_name_uq", "another_uq"):
        include.edit(f"sql/read/{device}.sql", f"INDEX {before[0]}", f"INDEX {new}")
        include.edit(_AI_FILE, f"INDEX {before[1]}", f"INDEX {new}")
        before = (new, new)
        _apply_as_superuser(store_db, include, device, E_AI)
        found = f"SELECT schemaname FROM pg_indexes WHERE indexname = '{new}' ORDER BY 1"
        assert store_db.rows(found) == [("feature_store",), ("ml",)]
    assert store_db.rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '_(beside|gone)'") == []


def test_what_an_administrator_put_on_it_and_on_an_index_of_the_file_stays(store_db, include):
    store_db.run(
        "COMMENT ON INDEX ml.tfeat_enr_v1_uq IS 'For the dashboard.'",
        f"ALTER MATERIALIZED VIEW {E} CLUSTER ON tfeat_enr_v1_uq",
        "SET allow_in_place_tablespaces = on",
        "CREATE TABLESPACE another_disk LOCATION ''",
        f"ALTER MATERIALIZED VIEW {E} SET TABLESPACE another_disk",
        "ALTER INDEX ml.tfeat_enr_v1_uq SET TABLESPACE another_disk",
    )
    _apply_as_superuser(store_db, include, E)
    assert store_db.rows(
        "SELECT obj_description(indexrelid, 'pg_class'), indisclustered FROM pg_index "
        "WHERE indexrelid = 'ml.tfeat_enr_v1_uq'::regclass"
    ) == [("For the dashboard.", True)]
    assert store_db.rows(
        "SELECT c.oid::regclass::text FROM pg_class AS c "
        "INNER JOIN pg_tablespace AS s ON c.reltablespace = s.oid "
        "WHERE s.spcname = 'another_disk' AND c.relnamespace = 'ml'::regnamespace ORDER BY 1"
    ) == [("ml.tfeat_enr_v1_uq",), (E,)]
    store_db.run(
        f"ALTER MATERIALIZED VIEW {E} SET TABLESPACE pg_default",
        "ALTER INDEX ml.tfeat_enr_v1_uq SET TABLESPACE pg_default",
        "DROP TABLESPACE another_disk",
    )


def test_a_plain_view_gives_way_to_a_materialized_view_with_what_was_put_on_it(sources_db, include):
    sources_db.run(
        "CREATE SCHEMA ml",
        f'CREATE VIEW {D3} AS SELECT listing_id, sold_price FROM "iPhone".iphone_listings',
        f"COMMENT ON VIEW {D3} IS 'Read by the nightly scorer.'",
        f"COMMENT ON COLUMN {D3}.sold_price IS 'In kroner.'",
        f"GRANT SELECT ON {D3} TO PUBLIC",
    )
    _apply_as_superuser(sources_db, include, D3)
    assert sources_db.rows(
        "SELECT relkind::text, obj_description(oid, 'pg_class'), relacl::text LIKE '%%=r/%%' "
        "FROM pg_class WHERE oid = %s::regclass",
        D3,
    ) == [("m", "Read by the nightly scorer.", True)]


def test_locks_are_waited_for_as_before_once_the_places_are_taken(store_db, include):
    with store_db.connection.transaction():
        found = plan_replacement(store_db.connection, include.store, [E], [])
        before = store_db.value("SHOW lock_timeout")
        kept = build(store_db.connection, found, "")
        swap(store_db.connection, found, kept, 1, rehearsal=False)
        assert store_db.value("SHOW lock_timeout") == before


# What cannot be kept


def test_a_table_in_the_place_of_a_relation_is_never_replaced(sources_db, include):
    sources_db.run("CREATE SCHEMA ml", f"CREATE TABLE {D3} AS SELECT 1 AS sold_price")
    before = sources_db.snapshot()
    with pytest.raises(NotReady, match="apply never drops what holds rows"):
        _apply_as_superuser(sources_db, include, D3)
    assert sources_db.snapshot() == before


def test_a_schema_that_has_our_name_is_not_used(store_db, include):
    store_db.run("CREATE SCHEMA feature_store_beside_ml")
    with pytest.raises(NotReady, match='"feature_store_beside_ml" already exists'):
        _apply_as_superuser(store_db, include, E)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (
            [f"CREATE MATERIALIZED VIEW mine.copy AS SELECT * FROM {E_AI}"],
            f"mine.copy, a materialized view of yours, reads {E_AI}",
        ),
        (
            ["CREATE TABLE mine.t (x int)", f"CREATE RULE r AS ON INSERT TO mine.t DO ALSO SELECT "
             f"1 FROM {E_AI}"],
            "would lose: rule r on table mine.t",
        ),
        (
            ["CREATE FUNCTION mine.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) "
             f"FROM {E_AI}; END"],
            "would lose: function mine.f()",
        ),
        (
            [f"CREATE STATISTICS mine.s ON price, generation FROM {E_AI}"],
            "would lose: statistics object mine.s",
        ),
        (
            [f"CREATE TABLE mine.t (x {E_AI})"],
            "would lose: column x of table mine.t",
        ),
        (
            [f"CREATE FUNCTION mine.g() RETURNS SETOF {E_AI} LANGUAGE plpgsql AS 'BEGIN END'"],
            "would lose: function mine.g()",
        ),
        (
            [f"CREATE VIEW mine.theirs AS SELECT price FROM {E_AI}",
             f"ALTER VIEW mine.theirs OWNER TO {READER}"],
            f"mine.theirs belongs to {READER}, and {OWNER} may not replace it",
        ),
        (
            [f"CREATE VIEW mine.whole AS SELECT e AS everything FROM {E_AI} AS e"],
            "would lose: column everything of view mine.whole",
        ),
        (
            [f"CREATE VIEW mine.byname AS SELECT '{E_AI}'::regclass AS which"],
            None,
        ),
    ],
    ids=["materialized view", "rule", "function body", "statistics", "row type", "row type of a "
         "function", "another's view", "whole row", "name as a value"],
)  # fmt: skip
def test_what_depends_on_it_and_cannot_be_kept_is_refused_by_name(
    hand_built, include, statements, words
):
    hand_built.run(
        f"GRANT USAGE, CREATE ON SCHEMA mine TO {READER}",
        f"SET SESSION AUTHORIZATION {OWNER}",
        *(s for s in statements if "OWNER" not in s),
        "RESET SESSION AUTHORIZATION",
        *(s for s in statements if "OWNER" in s),
    )
    if words is None:
        _apply(hand_built, include, E_AI)
        assert hand_built.value("SELECT which::text FROM mine.byname") == E_AI
    else:
        assert words in _refused(hand_built, include, E_AI)


def test_nobody_is_told_to_become_a_superuser(hand_built, include):
    hand_built.run(f"CREATE VIEW mine.root AS SELECT listing_id FROM {E_AI}")
    text = _refused(hand_built, include, E_AI)
    assert "mine.root belongs to postgres" in text
    assert "GRANT postgres" not in text


def test_a_trigger_on_a_view_of_the_store_is_refused_and_on_a_view_of_yours_kept(adopted, include):
    adopted.run(
        "CREATE FUNCTION mine.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER yours INSTEAD OF DELETE ON mine.prices EXECUTE FUNCTION mine.t()".replace(
            "EXECUTE", "FOR EACH ROW EXECUTE"
        ),
    )
    _apply(adopted, include, E_AI)
    triggers = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
    assert adopted.rows(triggers) == [("mine.prices",)]
    adopted.run(
        f"CREATE TRIGGER theirs INSTEAD OF DELETE ON {F1} FOR EACH ROW EXECUTE FUNCTION mine.t()"
    )
    assert f"would lose: trigger theirs on view {F1}" in _refused(adopted, include, F1)


def test_a_view_that_reads_a_column_that_goes_is_refused_before_any_row_is_computed(
    adopted, include, caplog
):
    include.edit(_AI_FILE, "AS ai_urgency_f,", "AS ai_hurry_f,")
    include.edit(_AI_FILE, "clean_mv.ai_urgency_f IS", "clean_mv.ai_hurry_f IS")
    caplog.set_level("INFO")
    text = _refused(adopted, include, E_AI)
    assert "mine.own_rights, a view of yours, cannot be kept" in text
    assert "ai_urgency_f" in text
    assert "Filling" not in caplog.text


def test_plan_refuses_an_index_or_a_grant_on_a_column_that_goes(adopted, include):
    adopted.run("DROP VIEW mine.own_rights", f"CREATE INDEX hurried ON {E_AI} (ai_urgency_f)")
    include.edit(_AI_FILE, "AS ai_urgency_f,", "AS ai_hurry_f,")
    include.edit(_AI_FILE, "clean_mv.ai_urgency_f IS", "clean_mv.ai_hurry_f IS")
    plan = make_plan(adopted.connection, include.store, include.directory, [E_AI])
    (told,) = plan.problems
    assert told == (
        f"Replacing {E_AI} would lose: the index ml.hurried, which uses its column ai_urgency_f.\n"
        "Next: DROP INDEX ml.hurried; or restore the column in the file"
    )
    assert "would lose: the index ml.hurried" in _refused(adopted, include, E_AI)
    adopted.run(
        "DROP INDEX ml.hurried", f"GRANT SELECT (ai_urgency_f, price) ON {E_AI} TO {READER}"
    )
    plan = make_plan(adopted.connection, include.store, include.directory, [E_AI])
    (told,) = plan.problems
    assert told.startswith(
        f"Replacing {E_AI} would lose: the privilege SELECT (ai_urgency_f) of {READER}.\nNext: "
    )
    assert told.split("\n")[0] in _refused(adopted, include, E_AI)
    (revoke,) = re.findall("REVOKE .*?(?=;)", told)
    adopted.run(revoke)
    _apply(adopted, include, E_AI)
    assert adopted.value(f"SELECT has_column_privilege('{READER}', '{E_AI}', 'price', 'SELECT')")


def test_words_and_settings_of_a_column_that_goes_go_with_it(adopted, include):
    adopted.run(
        "DROP VIEW mine.own_rights",
        f"COMMENT ON COLUMN {E_AI}.ai_urgency_f IS 'Ask sales.'",
        f"ALTER MATERIALIZED VIEW {E_AI} ALTER COLUMN ai_urgency_f SET STATISTICS 500",
    )
    include.edit(_AI_FILE, "AS ai_urgency_f,", "AS ai_hurry_f,")
    include.edit(_AI_FILE, "clean_mv.ai_urgency_f IS", "clean_mv.ai_hurry_f IS")
    _apply(adopted, include, E_AI)
    assert make_plan(adopted.connection, include.store, include.directory).empty


_SOURCE_WORDS = """COMMENT ON COLUMN "iPhone".iphone_listings.storage_gb IS 'As the seller says.'"""


def test_words_that_a_column_inherits_do_not_outlast_those_of_the_file(store_db, include):
    file = f"sql/base/{D3}.sql"
    words = re.findall(rf"COMMENT ON COLUMN {D3}.storage_gb IS\n'.*?';\n", _text(include, file))[0]
    said = "SELECT col_description(%s::regclass, 2)"
    store_db.run(_SOURCE_WORDS)
    include.edit(file, words, "")
    include.edit(file, "l.sold_date IS NOT NULL", "NOT l.sold_date IS NULL")
    _apply_as_superuser(store_db, include, D3)
    assert store_db.value(said, D3) == "As the seller says."
    include.write(file, _text(include, file) + words)
    include.edit(file, "NOT l.sold_date IS NULL", "l.sold_date IS NOT NULL")
    _apply_as_superuser(store_db, include, D3)
    assert f"'{store_db.value(said, D3)}';" in words


def test_words_that_a_column_inherits_go_with_it(store_db, include):
    file = f"sql/base/{D3}.sql"
    store_db.run("""COMMENT ON COLUMN "iPhone".iphone_listings.seller_rating IS 'Out of ten.'""")
    include.edit(file, "    l.storage_gb,\n", "    l.storage_gb,\n    l.seller_rating,\n")
    _apply_as_superuser(store_db, include, D3)
    assert store_db.value("SELECT col_description(%s::regclass, 3)", D3) == "Out of ten."
    include.edit(file, "    l.seller_rating,\n", "")
    _apply_as_superuser(store_db, include, D3)
    assert make_plan(store_db.connection, include.store, include.directory).empty


def _text(include, path: str) -> str:
    return (include.directory / path).read_text()


def test_a_query_that_fails_on_the_rows_leaves_everything_as_it_was(adopted, include):
    include.edit(_AI_FILE, "ai.storage_gb_fixed_ai::int", "(1 / (e.price - e.price))::int")
    text = _refused(adopted, include, E_AI)
    assert f"{E_AI} cannot be filled: division by zero" in text


# Readers, and others who work on the store


@contextmanager
def _reading(database, *queries: str) -> Iterator[list[Any]]:
    """Readers who count rows without a pause; yields errors, and counts of nothing."""
    seen: list[Any] = []
    done = threading.Event()

    def read(query: str) -> None:
        with psycopg.connect(database.conninfo, autocommit=True) as connection:
            counts = 0
            while not done.is_set() or not counts:
                try:
                    row = connection.execute(query.encode()).fetchone()
                    counts += 1
                    time.sleep(0.03)
                    if row is None or row[0] == 0:
                        seen.append((query, row))
                except psycopg.Error as error:
                    seen.append((query, error))

    threads = [threading.Thread(target=read, args=(query,)) for query in queries]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_readers_see_old_or_new_rows_and_never_an_error(adopted, include):
    with _reading(
        adopted,
        f"SELECT count(*) FROM {E_AI}",
        "SELECT count(*) FROM mine.prices",
        # In another order than the swap locks them.
        f"SELECT count(*) FROM {A} AS a JOIN {E} AS e USING (listing_id) "
        f"JOIN {E_AI} AS ai USING (listing_id) JOIN mine.prices AS p USING (listing_id)",
    ) as seen:
        _apply(adopted, include, E)
    assert seen == []


def test_a_transaction_that_began_before_sees_rows_too(adopted, include):
    with adopted.session() as reader, reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        _apply(adopted, include, E_AI)
        assert reader.execute(f"SELECT count(*) FROM {E_AI}".encode()).fetchone() != (0,)


def test_a_reader_who_takes_long_is_waited_for_and_keeps_nobody_else_waiting(adopted, include):
    with adopted.session() as reader:
        with reader.transaction():
            reader.execute(f"SELECT count(*) FROM {E_AI}".encode())
            thread = threading.Thread(target=_apply, args=(adopted, include, E_AI))
            thread.start()
            # Whoever waited for the reader, who ends after this, would be told so.
            adopted.run("SET lock_timeout = '20s'")
            started = time.monotonic()
            while time.monotonic() - started < 3:
                assert adopted.value("SELECT count(*) FROM mine.prices") > 0
            assert thread.is_alive()
        thread.join()
    assert make_plan(adopted.connection, include.store, include.directory).empty


def test_a_reader_who_never_ends_makes_it_give_up(adopted, include, monkeypatch):
    monkeypatch.setattr(applying, "_PATIENCE", 0)
    with adopted.session() as reader, reader.transaction():
        reader.execute(f"SELECT count(*) FROM {E_AI}".encode())
        text = _refused(adopted, include, E_AI)
    assert "others kept reading what is to be replaced" in text
    assert "Next: Apply again when no long query reads it." in text


def test_no_run_can_take_the_lease_meanwhile(adopted, include):
    nightly = RunKey("feature_store_refresh", "scheduled__2026-06-30")
    with adopted.session() as connection, connection.transaction():
        apply(connection, include.store, include.settings, [E_AI])
        with adopted.session() as run, pytest.raises(LeaseTaken):
            take_lease(run, nightly, lambda _: True, timedelta(0))
    with adopted.session() as run:
        assert take_lease(run, nightly, lambda _: True, timedelta(0)).holder == nightly
    include.edit(_AI_FILE, "ai.storage_gb_fixed_ai::int", "ai.storage_gb_fixed_ai::integer")
    with pytest.raises(LeaseTaken):
        _apply(adopted, include, E_AI)
