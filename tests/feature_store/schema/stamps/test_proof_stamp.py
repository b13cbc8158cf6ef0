"""The inventory of proofs: stamped by a person, and asserted. See also test_upgrades.py."""

from __future__ import annotations

import psycopg
import pytest

from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.errors import BadInput, ProofsChanged
from feature_store.schema.first_start import bootstrap
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.readiness import check_ready
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.schema.stamps.proof_stamp import (
    assert_proofs,
    stamp_proofs,
    stamp_sets,
    unstamped,
)
from sandbox.roles import PAGE, READER, REFRESHER, REVIEWER, grant_roles

_AI_ROWS = "sql/expectations/uniqueness/one_ai_row_per_listing.sql"
_FOLDER = "sql/specifications"
_STAMPS = "SELECT count(*) FROM feature_store_audit.proof_inventory_log"


def _stamped(database, include) -> None:
    sets = read_feature_sets(include.directory)
    stamp_sets(database.connection, include.store, include.directory, sets, replace=False)


def _unstamped(database, include) -> tuple[str, ...]:
    return unstamped(database.connection, include.store, include.directory)


def test_the_first_stamp_of_a_contract_takes_the_inventory(scratch, include):
    assert _unstamped(scratch, include) == (), "nothing has changed since"
    with pytest.raises(ProofsChanged, match="have never been stamped"):
        assert_proofs(scratch.connection, include.store, include.directory)
    _stamped(scratch, include)
    assert_proofs(scratch.connection, include.store, include.directory)


def test_the_first_start_takes_it_too(scratch_sources, include):
    bootstrap(scratch_sources.connection, include.store, include.settings)
    assert_proofs(scratch_sources.connection, include.store, include.directory)


def test_proofs_switched_off_fail_with_all_that_a_person_needs(scratch, include):
    _stamped(scratch, include)
    include.edit(_AI_ROWS, "critical", "warning")
    include.edit("thresholds.toml", "most_rows_lost = 0.4", "most_rows_lost = 1")
    for path in (include.directory / "sql/views").glob("ml.spam_token*"):
        (include.directory / _FOLDER / path.name).unlink()
    with pytest.raises(ProofsChanged) as caught:
        assert_proofs(scratch.connection, include.store, include.directory)
    assert caught.value.problem.splitlines() == [
        "The proofs are not those that a person stamped:",
        f"  - {_AI_ROWS} was critical, is warning",
        f"  - {_FOLDER}/ml.spam_token_v1.sql is gone",
        "  - thresholds.toml, most_rows_lost was 0.4, is 1",
    ]
    assert "`bin/feature-store stamp-proofs`" in (caught.value.next_step or "")

    before = _unstamped(scratch, include)
    assert stamp_proofs(scratch.connection, include.store, include.directory) == before
    assert _unstamped(scratch, include) == ()


def test_another_time_zone_is_named_until_a_person_stamps_it(scratch, include):
    """It decides which sales are of an earlier day than t0."""
    _stamped(scratch, include)
    scratch.run("SET TimeZone = 'America/New_York'")
    with pytest.raises(ProofsChanged) as caught:
        assert_proofs(scratch.connection, include.store, include.directory)
    told = "FEATURE_STORE_ZONE was UTC, is America/New_York"
    assert caught.value.problem.splitlines()[1:] == [f"  - {told}"]
    assert stamp_proofs(scratch.connection, include.store, include.directory) == (told,)
    assert _unstamped(scratch, include) == ()


def test_a_stamp_of_what_is_stamped_is_none(scratch, include):
    _stamped(scratch, include)
    assert stamp_proofs(scratch.connection, include.store, include.directory) == ()
    _stamped(scratch, include)
    assert scratch.value(_STAMPS) == 1


def test_a_contract_that_is_stamped_alone_takes_no_weaker_proof_along(scratch, include):
    _stamped(scratch, include)
    include.edit(_AI_ROWS, "critical", "warning")
    with pytest.raises(BadInput, match="was critical, is warning"):
        _stamped(scratch, include)
    assert scratch.value(_STAMPS) == 1


def test_a_new_contract_takes_itself_along_and_none_whose_file_is_gone(scratch, include):
    _stamped(scratch, include)
    first = include.directory / "contracts/tom_features_v1.toml"
    include.write("contracts/tom_features_v2.toml", first.read_text().replace('_v1"', '_v2"', 1))
    include.write(
        _AI_ROWS.replace("one_ai", "again_one_ai"), (include.directory / _AI_ROWS).read_text()
    )
    assert len(_unstamped(scratch, include)) == 2
    _stamped(scratch, include)
    assert _unstamped(scratch, include) == ()
    (include.directory / "contracts/tom_features_v2.toml").unlink()
    with pytest.raises(BadInput, match=r"tom_features_v2\.toml is gone"):
        _stamped(scratch, include)


def test_plan_names_them(scratch, include):
    _stamped(scratch, include)
    include.edit(_AI_ROWS, "critical", "warning")
    said = str(make_plan(scratch.connection, include.store, include.directory))
    assert "(bin/feature-store stamp-proofs): 1\n" in said
    assert f"  - {_AI_ROWS} was critical, is warning" in said


def test_prepare_refuses_them_before_any_work(scratch, include):
    _stamped(scratch, include)
    check_ready(scratch.connection, include.store, include.settings)
    include.edit(_AI_ROWS, "critical", "warning")
    with pytest.raises(ProofsChanged, match="was critical, is warning"):
        check_ready(scratch.connection, include.store, include.settings)


def test_the_owner_alone_stamps_and_nobody_changes_a_stamp(store_db, include):
    grant_roles(store_db.conninfo, owner="postgres")
    _stamped(store_db, include)
    insert = "INSERT INTO feature_store_audit.proof_inventory_log (proofs) VALUES ('[{}]')"
    delete = "DELETE FROM feature_store_audit.proof_inventory_log"
    for role in (REFRESHER, READER, REVIEWER, PAGE):
        with store_db.session(role) as connection:
            for statement in (insert, delete):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
    for role in (REFRESHER, PAGE):
        with store_db.session(role) as connection:
            assert unstamped(connection, include.store, include.directory) == ()


def test_apply_stamps_the_proofs_of_a_store_whose_contracts_are_older(scratch, include):
    from feature_store.schema.apply import apply

    sets = read_feature_sets(include.directory)
    apply(scratch.connection, include.store, include.settings)
    assert scratch.value(_STAMPS) == 0, "nobody has stamped a contract yet"
    for feature_set in sets:
        stamp(scratch.connection, feature_set, replace=False)
    apply(scratch.connection, include.store, include.settings)
    assert_proofs(scratch.connection, include.store, include.directory)
    include.edit(_AI_ROWS, "critical", "warning")
    apply(scratch.connection, include.store, include.settings)
    assert len(_unstamped(scratch, include)) == 1, "and never again by itself"
