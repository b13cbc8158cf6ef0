"""The leak gates as a whole: the store as shipped, who may ask, what is said, how fast."""

from __future__ import annotations

import time

import pytest

from feature_store.errors import LeakFound
from feature_store.validation.leaks.gate_context import OUTCOMES, TIME_OF_QUERY
from feature_store.validation.leaks.gates import assert_no_leak, check_gates, read_gate_context
from tests.feature_store.validation.leaks.variants import (
    EXCEPTIONS,
    LISTINGS,
    RULES,
    SETS,
    SPAM,
    flag_by,
)
from tests.relations import E_CLEAN


def _assert_no_leak(database, store_files, exceptions=EXCEPTIONS):
    connection = database.connection
    context = read_gate_context(connection, store_files, SETS, RULES, exceptions)
    return assert_no_leak(connection, context)


def test_the_store_as_shipped_passes_on_every_version(store, store_files):
    assert check_gates(store.connection, store_files, SETS, RULES, EXCEPTIONS) == ()


def test_the_gates_look_at_every_relation_of_the_store_labels_too(store, store_files):
    """The relations are the same on every version: a gate that sees nothing would pass, too."""
    closure = read_gate_context(store.connection, store_files, SETS, RULES, EXCEPTIONS).closure
    reached = {str(m.name) for m in closure.members.values()}
    assert reached == {str(one.name) for one in (*store_files.relations, *store_files.sources)}
    roots = {str(closure.members[oid].name) for oid in closure.roots}
    assert roots == {str(s.relation) for s in SETS} | {"ml.tom_train_base_v1_mv"}


@pytest.mark.parametrize(
    ("condition", "gate"),
    [("l.edited_date < now()", TIME_OF_QUERY), ("l.sold_price > 1", OUTCOMES)],
)
def test_a_leak_is_found_on_every_version(store, store_files, condition, gate):
    store.connection.execute(
        f"CREATE OR REPLACE VIEW {SPAM} AS SELECT DISTINCT l.listing_id FROM {LISTINGS} AS l "
        f"WHERE {condition}".encode()
    )
    findings = check_gates(store.connection, store_files, SETS, RULES, EXCEPTIONS)
    assert {f.relation for f in findings} == {SPAM}
    assert gate in {f.gate for f in findings}


def test_a_role_without_any_privilege_may_ask(store_db, new_role, store_files):
    with store_db.session(new_role()) as connection:
        assert check_gates(connection, store_files, SETS, RULES, EXCEPTIONS) == ()


def test_asking_alters_nothing(store_db, store_files):
    store_db.run("BEGIN READ ONLY")
    assert check_gates(store_db.connection, store_files, SETS, RULES, EXCEPTIONS) == ()
    store_db.run("ROLLBACK")


def test_a_relation_that_is_not_there_is_the_contract_s_affair(scratch, store_files):
    scratch.run(f"DROP MATERIALIZED VIEW {E_CLEAN} CASCADE")
    assert check_gates(scratch.connection, store_files, SETS, RULES, EXCEPTIONS) == ()


def test_a_leak_fails_with_everything_a_person_needs(scratch, store_files):
    assert _assert_no_leak(scratch, store_files) == ()
    flag_by(scratch, "l.sold_price > 1 AND l.edited_date < now()")
    with pytest.raises(LeakFound) as caught:
        _assert_no_leak(scratch, store_files)
    file = store_files.find(SPAM).file.path
    assert caught.value.problem.splitlines()[:3] == [
        "A feature may see what was not known at t0:",
        f"  - time of query: {SPAM}: its query uses now(), which is stable.",
        f"    File: {file}",
    ]
    assert (
        f"  - outcomes: {SPAM}, column sold_price: reads the outcome "
        "iPhone.iphone_listings.sold_price (What was paid); declared for it: "
        f"ml.sold_prices_v1_mv.\n    File: {file}\n"
        f"    Path: iPhone.iphone_listings.sold_price → {SPAM}"
    ) in caught.value.problem
    assert caught.value.readers == "the rows that the views have now; do not train on them."
    assert "bin/feature-store apply" in (caught.value.next_step or "")


def test_warnings_are_handed_back_and_do_not_fail(scratch, store_files):
    import dataclasses

    changed = [
        dataclasses.replace(e, taints={s: (*f, "gone") for s, f in e.taints.items()})
        for e in EXCEPTIONS
    ]
    warnings = _assert_no_leak(scratch, store_files, changed)
    assert len(warnings) == len(EXCEPTIONS)


def test_the_gates_take_a_moment(scratch, store_files):
    started = time.process_time()
    check_gates(scratch.connection, store_files, SETS, RULES, EXCEPTIONS)
    assert time.process_time() - started < 2
