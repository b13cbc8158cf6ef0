"""A store that was there before us is used as it is; what does not fit is named."""

from __future__ import annotations

from typing import Any

import pytest

from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.errors import BadInput, NotReady
from feature_store.proof.proving import compare_stored
from feature_store.reporting.status import read_status
from feature_store.schema.adoption import read_other_keys
from feature_store.schema.apply import apply
from feature_store.schema.object_states import State
from feature_store.schema.planning.plan import Plan, make_plan
from feature_store.schema.readiness import check_ready
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.validation.leaks.gate_context import FAILURE
from feature_store.validation.leaks.gates import check_gates
from tests.conftest import LiveStore
from tests.feature_store.schema.hand_built import F0_WITH_IMAGES, OWNER, with_f0_declared
from tests.relations import E_AI, E_CLEAN, F0, F1, F3, E

_ASSERT = "ml.assert_feature_contract"


def _plan(database, include, *replace: str) -> Plan:
    return make_plan(database.connection, include.store, include.directory, replace)


def _apply(database, include, *replace: str) -> Plan:
    with database.session(OWNER) as connection:
        return apply(connection, include.store, include.settings, replace)


def _state(plan: Plan, label: str) -> tuple[State, str]:
    (found,) = [c for c in (*plan.blocked, *plan.adopts) if c.thing.label == label]
    return found.state, found.details


# Plan


def test_plan_shows_what_differs_and_the_way_out_in_one_screen(hand_built, include):
    hand_built.run(f"SET ROLE {OWNER}")
    before = hand_built.snapshot()
    with hand_built.session(OWNER) as connection:
        text = str(make_plan(connection, include.store, include.directory))
    assert hand_built.snapshot() == before
    assert len(text.splitlines()) <= 51
    assert text.splitlines()[:4] == [
        "Blocked: 1 not as their file.",
        f"  - {E_AI}: not created by apply, and different",
        "    it lacks speed_fast7_anchor, speed_fast24_anchor, speed_slow21_anchor, "
        "speed_median_hours_ptv, speed_n_eff_ptv",
        f"    Next: `bin/feature-store apply --replace {E_AI}` builds the file's version beside "
        "it and swaps them; or rename it yourself.",
    ]
    assert "To adopt as they are, and never alter: 16\n" in text
    assert "    creates ml.check_feature_contract\n" in text
    assert f"    keeps your {_ASSERT}(text), which apply did not create:\n" in text
    assert f"    To get the file's version: `bin/feature-store apply --replace {_ASSERT}`\n" in text


def test_apply_without_the_name_is_refused_and_changes_nothing(hand_built, include):
    before = hand_built.snapshot()
    with pytest.raises(NotReady, match=f"--replace {E_AI}"):
        _apply(hand_built, include)
    assert hand_built.snapshot() == before


@pytest.mark.parametrize("name", ["ml.no_such", "tom_features_v1_mv", "mine.prices"])
def test_a_name_that_is_not_of_the_store_is_refused(hand_built, include, name):
    with pytest.raises(BadInput, match="not something that can be replaced"):
        _plan(hand_built, include, name)


def test_a_relation_that_is_missing_cannot_be_replaced(hand_built, include):
    with pytest.raises(BadInput, match=r"ml\.tom_speed_anchor_v1_mv is missing"):
        _plan(hand_built, include, "ml.tom_speed_anchor_v1_mv")


# What fits


def test_what_is_adopted_is_not_touched(hand_built, include):
    hand_built.run(f"SET ROLE {OWNER}")
    with hand_built.connection.transaction(force_rollback=True):
        hand_built.run(f"DROP MATERIALIZED VIEW {E_AI} CASCADE")
        before = set(hand_built.snapshot())
        hand_built.run(f"SET LOCAL ROLE {OWNER}")
        plan = apply(hand_built.connection, include.store, include.settings)
        assert len(plan.adopts) == 16
        assert before <= set(hand_built.snapshot())
        assert _plan(hand_built, include).empty
        assert _plan(hand_built, include).adopted == 16


def test_the_adopted_store_gives_the_very_rows_of_ours(
    hand_built, include, filled_template, server
):
    _apply(hand_built, include, E_AI)
    adopted = LiveStore(hand_built.conninfo, include.store, include.settings)
    adopted.refresh()
    ours = LiveStore(
        server.create_database("ours", filled_template), include.store, include.settings
    )
    ours.refresh()
    for relation in include.store.relations:
        count = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {} AS t"
        query = count.format(relation.name).encode()
        theirs = adopted.connection.execute(query).fetchone()
        assert theirs == ours.connection.execute(query).fetchone(), relation.name
    adopted.close()
    ours.close()
    server.drop_database("ours")


def test_a_run_can_start_and_nothing_leaks(hand_built, include):
    _apply(hand_built, include, E_AI, _ASSERT)
    sets = read_feature_sets(include.directory)
    with hand_built.session(OWNER) as connection:
        for feature_set in sets:
            stamp(connection, feature_set, replace=True)
        check_ready(connection, include.store, include.settings)
        rules, exceptions = read_rules(include.directory), read_exceptions(include.directory)
        findings = check_gates(connection, include.store, sets, rules, exceptions)
    assert [str(f) for f in findings if f.severity == FAILURE] == []
    states = {
        line.state for line in read_status(hand_built.connection, include.store, include.directory)
    }
    assert states == {State.AS_FILE, State.ADOPTED}


def test_before_it_is_adopted_a_run_is_stopped_and_told_so(hand_built, include):
    _apply(hand_built, include, E_AI)
    hand_built.run(f"DELETE FROM feature_store_audit.definition WHERE object = '{E}'")
    with pytest.raises(NotReady, match=f"Not adopted yet: {E}.\n.*Next: bin/feature-store apply"):
        check_ready(hand_built.connection, include.store, include.settings)


def test_an_adopted_relation_that_its_owner_changes_is_adopted_anew(hand_built, include):
    _apply(hand_built, include, E_AI)
    hand_built.run(
        "DROP INDEX ml.tfeat_enr_v1_dt", f"CREATE INDEX tfeat_enr_v1_dt ON {E} (edited_date)"
    )
    state, details = _state(_plan(hand_built, include), E)
    assert state is State.ADOPTABLE
    assert details.startswith("changed since it was adopted:\n")
    assert "edited_date" in details
    _apply(hand_built, include)
    assert _plan(hand_built, include).empty


def test_words_of_files_never_reach_what_is_adopted(hand_built, include):
    _apply(hand_built, include, E_AI)
    words = "SELECT count(*) FROM pg_description WHERE objoid = %s::regclass"
    assert hand_built.value(words, E) == 0
    include.edit(f"sql/read/{E}.sql", "'E: ", "'E, newly: ")
    assert _plan(hand_built, include).empty


def test_columns_of_its_owner_are_welcome_where_no_feature_set_is_bound(scratch, include):
    _forget(scratch, F0, f"SELECT *, 1 AS upstream_id FROM {E_CLEAN}", "generation, listing_id")
    assert _state(_plan(scratch, include), F0) == (State.ADOPTABLE, "")


def test_a_key_may_have_further_columns_in_its_index(scratch, include):
    _forget(scratch, F0, f"SELECT * FROM {E_CLEAN}", "listing_id) INCLUDE (model")
    assert _state(_plan(scratch, include), F0) == (State.ADOPTABLE, "")


def test_it_is_held_to_the_key_that_it_has(scratch, settings, store_files):
    def expected() -> str:
        other_keys = read_other_keys(scratch.connection, store_files)
        found = read_expectations(settings.include_dir, store_files, "uniqueness", other_keys)
        (ours,) = [e.expected for e in found if e.relation == F0 and e.name.startswith("key_")]
        return ours

    assert expected() == "one row per listing_id"
    _forget(scratch, F0, f"SELECT * FROM {E_CLEAN}", "generation, listing_id")
    assert expected() == "one row per generation, listing_id"


# What does not fit


@pytest.mark.parametrize(
    ("label", "query", "key", "details"),
    [
        (F0, f"SELECT generation, listing_id, edited_date FROM {E_CLEAN}", "listing_id",
         "it lacks model"),
        (F0, f"SELECT generation, listing_id, edited_date, model FROM {E_CLEAN}", "edited_date",
         "it has no valid unique index over listing_id: no concurrent refresh"),
        (F0, f"SELECT generation, listing_id, edited_date, model FROM {E_CLEAN}", None,
         "it has no valid unique index over listing_id: no concurrent refresh"),
        (F0, f"SELECT generation, listing_id, edited_date, model FROM {E_AI}", "listing_id",
         f"it reads {E_AI}, which the DAG does not refresh before it"),
    ],
)  # fmt: skip
def test_what_keeps_a_relation_from_being_adopted(scratch, include, label, query, key, details):
    _forget(scratch, label, query, key)
    assert _state(_plan(scratch, include), label) == (State.FOREIGN, details)


def test_a_relation_that_a_feature_set_is_bound_to_has_no_further_column(scratch, include):
    scratch.run(
        f"DELETE FROM feature_store_audit.definition WHERE object = '{F3}'",
        f"CREATE OR REPLACE VIEW {F3} AS SELECT f.*, 1 AS more FROM ({_query(scratch, F3)}) AS f",
    )
    state, details = _state(_plan(scratch, include), F3)
    assert (state, details) == (
        State.FOREIGN, "a feature set is bound to it, and it has extra columns: more",
    )  # fmt: skip


def test_a_taken_index_name_is_found_by_plan(scratch, include):
    scratch.run(
        f"DROP MATERIALIZED VIEW {E_AI}",
        "CREATE MATERIALIZED VIEW ml.old_one AS SELECT 1 AS listing_id",
        "CREATE UNIQUE INDEX tfeat_enr_ai_clean_uq ON ml.old_one (listing_id)",
    )
    plan = _plan(scratch, include)
    assert _state(plan, E_AI) == (
        State.TAKEN,
        "its index tfeat_enr_ai_clean_uq cannot be created: ml.old_one has an index of that name",
    )
    assert "rename that index yourself, then `bin/feature-store apply`." in str(plan)


def _their_f0(database, query: str) -> None:
    database.run(
        f"DROP MATERIALIZED VIEW {F0} CASCADE",
        f"CREATE MATERIALIZED VIEW {F0} AS {query}",
        f"CREATE UNIQUE INDEX theirs ON {F0} (generation, listing_id)",
        f"ALTER MATERIALIZED VIEW {F0} OWNER TO {OWNER}",
    )


def test_an_f0_may_leave_listings_out(hand_built, include):
    _their_f0(
        hand_built,
        f"SELECT generation, listing_id, edited_date, model FROM {E_CLEAN} WHERE price > 8000",
    )
    counts = f"SELECT (SELECT count(*) FROM {F0}), (SELECT count(*) FROM {E_CLEAN})"
    f0, e_clean = hand_built.rows(counts)[0]
    assert 0 < f0 < e_clean
    assert _state(_plan(hand_built, include), F0) == (State.ADOPTABLE, "")


@pytest.mark.parametrize("by_owner", [True, False])
def test_a_specification_may_leave_an_adopted_relation_to_its_owner(hand_built, include, by_owner):
    """Then F0's refresh compares it with its own definition; otherwise it is compared with ours."""
    _their_f0(
        hand_built,
        f"SELECT generation, listing_id, edited_date, model FROM {E_CLEAN} WHERE price > 8000",
    )
    adopted = "-- Adopted:       as its owner defines it\n" if by_owner else ""
    include.write(
        f"sql/specifications/{F0}.sql",
        f"-- Specification: all of E-clean\n-- Relation: {F0}\n-- Key: listing_id\n"
        f"-- Route: all of A\n{adopted}"
        "SELECT a.generation, a.listing_id, a.edited_date, a.model FROM ml.tom_features_v1_mv AS a",
    )
    _apply(hand_built, include, E_AI)
    live = LiveStore(hand_built.conninfo, include.store, include.settings)
    live.refresh()
    proofs = hand_built.rows(
        "SELECT compared, broken FROM feature_store_audit.proof_log WHERE proof = %s", F0
    )
    rows = len(live.rows(F0))
    if by_owner:
        assert proofs == [(rows, 0)]
    else:
        assert proofs == []
        assert compare_stored(live.connection, include.store.find(F0)).broken
    live.close()


def test_an_f0_that_chooses_by_what_is_not_as_of_t0_is_refused_until_that_is_declared(
    hand_built, include
):
    """Else every run would find the leak and fail."""
    _their_f0(hand_built, F0_WITH_IMAGES)
    images = "feature_store.device_image_features_unified_v1"
    state, details = _state(_plan(hand_built, include), F0)
    assert state is State.FOREIGN
    assert details.startswith(f"every run would find a leak: {F0} reads {images}, which is not as ")
    assert "no exception declares that" in details
    include.write("exceptions.toml", with_f0_declared(include.directory))
    assert _state(_plan(hand_built, include), F0) == (State.ADOPTABLE, "")
    _apply(hand_built, include, E_AI)
    findings = check_gates(
        hand_built.connection,
        include.store,
        read_feature_sets(include.directory),
        read_rules(include.directory),
        read_exceptions(include.directory),
    )
    assert [str(f) for f in findings if f.relation == F0] == []


def test_an_f0_with_listings_that_are_not_clean_is_refused(hand_built, include):
    """It is refused before any work. Else every run would find these listings and fail."""
    _their_f0(hand_built, f"SELECT generation, listing_id, edited_date, model FROM {E}")
    n, example = hand_built.rows(
        f"SELECT count(*), min(listing_id) FROM {E} "
        f"WHERE listing_id NOT IN (SELECT listing_id FROM {E_CLEAN})"
    )[0]
    assert n
    assert _state(_plan(hand_built, include), F0) == (
        State.FOREIGN,
        f"its query gives {n} rows that {E_CLEAN} does not have ({example}, for example); it may "
        "have fewer rows, but no others",
    )
    with pytest.raises(NotReady, match="it may have fewer rows"):
        _apply(hand_built, include, E_AI)


_LATER = "SELECT generation, listing_id, edited_date + interval '30 days' AS edited_date, model"


def test_an_f0_with_another_t0_is_refused(hand_built, include):
    _their_f0(hand_built, f"{_LATER} FROM {E_CLEAN}")
    state, details = _state(_plan(hand_built, include), F0)
    assert state is State.FOREIGN
    assert f"rows with another edited_date than in {E_CLEAN} (" in details


def test_an_adopted_f0_whose_rows_get_another_t0_later_breaks_an_expectation(hand_built, include):
    moved = f"{_LATER} FROM {E_CLEAN} WHERE EXISTS (SELECT FROM public.later) UNION ALL "
    kept = f"SELECT generation, listing_id, edited_date, model FROM {E_CLEAN}"
    hand_built.run("CREATE TABLE public.later ()", f"ALTER TABLE public.later OWNER TO {OWNER}")
    _their_f0(hand_built, f"{moved}{kept} WHERE NOT EXISTS (SELECT FROM public.later)")
    found = read_expectations(
        include.directory, include.store, "uniqueness", adopted=frozenset({F0})
    )
    (t0,) = [e for e in found if e.name == "values_of_listing_device_features_clean_mv"]
    hand_built.run(f"REFRESH MATERIALIZED VIEW {F0}")
    assert not hand_built.rows(t0.query)
    hand_built.run("INSERT INTO public.later DEFAULT VALUES", f"REFRESH MATERIALIZED VIEW {F0}")
    assert t0.expected == f"the same edited_date as in {E_CLEAN}"
    assert len(hand_built.rows(t0.query)) == hand_built.rows(f"SELECT count(*) FROM {F0}")[0][0]


@pytest.mark.parametrize("applied", [False, True], ids=["at first", "when it has changed"])
def test_an_f0_of_somebody_whom_we_are_not_is_refused(hand_built, include, new_role, applied):
    other = new_role()
    if applied:
        _apply(hand_built, include, E_AI)
    hand_built.run(f"ALTER MATERIALIZED VIEW {F0} OWNER TO {other}", f"ANALYZE {F0}")
    hand_built.run(
        "DROP INDEX feature_store.listing_device_features_clean_uq",
        "CREATE UNIQUE INDEX listing_device_features_clean_uq "
        f"ON {F0} (listing_id) INCLUDE (model)",
    )
    with hand_built.session(OWNER) as connection:
        plan = make_plan(connection, include.store, include.directory)
        state, details = _state(plan, F0)
    assert state is State.FOREIGN
    assert (
        f"it belongs to {other}, and {OWNER}, who applies, is not a member of that role" in details
    )
    hand_built.run(f"GRANT {other} TO {OWNER}")
    assert _state(_plan(hand_built, include), F0)[0] is State.ADOPTABLE


# Governance


def test_tables_keep_their_rows_and_a_function_its_owners_text(hand_built, include):
    body = "SELECT prosrc FROM pg_proc WHERE oid = 'ml.assert_feature_contract(text)'::regprocedure"
    had = hand_built.value(body)
    _apply(hand_built, include, E_AI)
    assert hand_built.rows("SELECT name, author FROM ml.feature_set") == [
        ("tom_features_v1", "somebody")
    ]
    assert hand_built.value(body) == had
    assert hand_built.value("SELECT to_regclass('ml.feature_set_binding') IS NOT NULL")


def test_a_function_is_replaced_by_name_and_keeps_its_privileges(hand_built, include):
    hand_built.run(f"REVOKE ALL ON FUNCTION {_ASSERT} FROM PUBLIC")
    acl = f"SELECT proacl::text FROM pg_proc WHERE oid = '{_ASSERT}(text)'::regprocedure"
    had = hand_built.value(acl)
    _apply(hand_built, include, E_AI, _ASSERT)
    assert hand_built.value(acl) == had
    with pytest.raises(Exception, match="FEATURE CONTRACT DRIFT"):
        hand_built.run(f"SELECT {_ASSERT}('tom_features_v1')")
    assert "keeps your feature_store" not in str(_plan(hand_built, include))
    assert _plan(hand_built, include).empty


def test_a_governance_table_without_our_columns_cannot_be_adopted(hand_built, include):
    hand_built.run(
        "ALTER TABLE ml.feature_set DROP COLUMN notes",
        "ALTER TABLE ml.feature_contract ALTER COLUMN ordinal TYPE text",
    )
    state, details = _state(_plan(hand_built, include), "the contract registry of ml")
    assert state is State.FOREIGN
    assert details == (
        "ml.feature_set has no column notes (text).\n"
        "ml.feature_contract.ordinal has the type text, not integer."
    )


def _query(database, relation: str) -> str:
    text: str = database.value("SELECT pg_get_viewdef(%s::regclass)", relation)
    return text.rstrip(";")


def _forget(database, relation: str, query: str, key: Any) -> None:
    """Replace the relation by one that somebody else created."""
    above = [F3, "feature_store.device_meta_gmc_stats_t0_v1_mv",
             "feature_store.device_count_day_v1_mv", F1]  # fmt: skip
    kinds = {F3: "VIEW", F1: "VIEW"}
    database.run(
        *(f"DROP {kinds.get(name, 'MATERIALIZED VIEW')} {name}" for name in above),
        f"DROP MATERIALIZED VIEW {relation}",
        f"DELETE FROM feature_store_audit.definition WHERE object = '{relation}'",
        f"CREATE MATERIALIZED VIEW {relation} AS {query} WITH NO DATA",
    )
    if key:
        database.run(f"CREATE UNIQUE INDEX theirs ON {relation} ({key})")
