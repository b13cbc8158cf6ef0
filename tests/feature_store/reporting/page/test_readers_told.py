"""Page, status, mail and report tell of a feature set what its readers are told, for any reason."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest

from feature_store.reporting.page.now import read_now
from feature_store.reporting.run.read import read_record
from feature_store.reporting.status import read_status
from feature_store.reporting.store.models import Standing
from feature_store.text_format import in_words
from feature_store.validation.certificates import asked_for, read_certificates, refused_first
from feature_store.validation.certification import certified_in_words
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import E_AI, F1, F2, F3, A, C

DEVICE = "iphone_device_meta_encoded_v2_model"
_IMAGES = "feature_store.device_image_features_unified_v1"
_MATERIALIZED = "MATERIALIZED VIEW"
_TRAINING = "feature_log.tom_features_v1_training"
_LOG = "feature_store_audit.certification_log"
_NIGHT = ("feature_store_refresh", "monday")


@pytest.fixture
def monday(scratch, store_files, settings):
    """A store that a run of today has certified."""
    scratch.run(f"REFRESH MATERIALIZED VIEW {A}")
    nights = CertifiedNights(scratch, store_files, settings)
    lease = nights.begin("monday", str(datetime.now(ZoneInfo(settings.zone)).date()))
    nights.refreshed(lease)
    nights.checked(lease)
    nights.certify(lease)
    _over(nights)
    return nights


def _over(nights) -> None:
    nights.database.run("UPDATE feature_store_audit.lease SET dag_id = NULL, run_id = NULL")


def _refreshed_since(nights):
    nights.refreshed(nights.begin("tuesday"), F2)
    _over(nights)


def _broken_since(nights):
    nights.checked(nights.begin("tuesday"), "as_of_counts", outcome="broken", relation=F3)
    _over(nights)


def _another_query(view):
    def harm(nights):
        query = nights.database.value(f"SELECT pg_get_viewdef('{view}'::regclass)").rstrip("; ")
        nights.database.run(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM ({query}) AS w")

    return harm


def _replaced_by_a_table(kind, relation):
    """Its name is that of a table."""
    schema, _, name = relation.partition(".")
    return _run(
        f"ALTER {kind} {relation} RENAME TO old_{name}",
        f"CREATE TABLE {relation} (LIKE {schema}.old_{name})",
    )


def _run(*statements):
    return lambda nights: nights.database.run(*statements)


REASONS = {
    "has never been certified": _run(f"DELETE FROM {_LOG} WHERE relation = '{F2}'"),
    "which has not been certified": _refreshed_since,
    f"{F2} was found broken by run x": _run(
        "INSERT INTO feature_store_audit.withdrawal_log (certification_event, dag_id, run_id) "
        f"SELECT event_id, 'x', 'x' FROM feature_store_audit.certified WHERE relation = '{F2}'"
    ),
    "was rewritten since it was certified": _run(f"REFRESH MATERIALIZED VIEW {A}"),
    # As if a concurrent refresh by hand had written other rows.
    "was refreshed by hand since it was certified": _run(
        f"UPDATE feature_store_audit.refresh SET outcome = '1/1' WHERE relation = '{A}'",
        f"UPDATE {_LOG} SET version = 'x' WHERE relation = '{A}'",
    ),
    f"{F3} has another query": _another_query(F3),
    f"{F1} has another query": _another_query(F1),
    f"{E_AI} has another query": _run(f"ALTER VIEW {E_AI} RENAME COLUMN ai_ship_can TO x"),
    f"{F3} was found broken by run tuesday": _broken_since,
    f"{F3} does not exist": _run(f"DROP VIEW {F3} CASCADE"),
    f"is bound to {F1}, but was certified bound to {F3}": _run(
        f"UPDATE ml.feature_set_binding SET relation_name = '{F1}' WHERE relation_name = '{F3}'"
    ),
    "was found not as it was sealed by run tuesday": _run(
        "INSERT INTO feature_store_audit.broken_log (feature_set, dag_id, run_id) "
        "SELECT feature_set, 'x', 'tuesday' FROM feature_store_audit.feature_log LIMIT 1"
    ),
    # Of before the binding was certified, too.
    "reads no materialized view of the store": _run(
        "UPDATE feature_store_audit.verdict_log SET queries = NULL",
        f"UPDATE ml.feature_set_binding SET relation_name = 'ml.spam_token_v1' "
        f"WHERE relation_name = '{F3}'",
    ),
    f"{_TRAINING} has another query": _another_query(_TRAINING),
    f"{_TRAINING} reads no materialized view": _replaced_by_a_table("VIEW", _TRAINING),
    f"{E_AI} is not the materialized view that was": _replaced_by_a_table(_MATERIALIZED, E_AI),
    f"{C} is not the materialized view that was": _replaced_by_a_table(_MATERIALIZED, C),
    f"the heirs of {_IMAGES} changed": _run(f"CREATE TABLE ml.more () INHERITS ({_IMAGES})"),
    f"the row-level security of {_IMAGES} changed": _run(
        f"ALTER TABLE {_IMAGES} ENABLE ROW LEVEL SECURITY"
    ),
    f"the options of {F1} changed": _run(f"ALTER VIEW {F1} SET (security_invoker = true)"),
    f"the owner of {F3} changed": _run(f"ALTER VIEW {F3} OWNER TO pg_monitor"),
    "which is yet to come": _run(f"UPDATE {_LOG} SET certified_at = now() + interval '1 day'"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_set_that_is_refused_is_told_so_everywhere_and_no_other_is(
    monday, reason, settings, files
):
    before = _page(monday, settings, files)
    assert before.verdict.standing is Standing.CERTIFIED
    assert [contract.readable for contract in before.contracts] == [True, True]
    assert before.certified_words.endswith("All that it certified is still in place.")

    REASONS[reason](monday)
    now = _page(monday, settings, files)
    status = {
        line.relation: line.certified
        for line in read_status(monday.database.connection, monday.store, settings.include_dir)
    }
    told = {contract.name: _told(monday, contract.name) for contract in now.contracts}
    refused = [name for name, words in told.items() if words]
    assert any(reason in words for words in told.values())
    for contract in now.contracts:
        refusal = told[contract.name]
        asked = asked_for(monday.database.connection, {contract.name: contract.relation})
        answered = read_certificates(monday.database.connection, asked[contract.name])
        assert refused_first(answered.values()).refusal == (refusal or None)
        assert (contract.readable, contract.refusal) == (not refusal, refusal)
        # The status is of the relation alone, without what is read with it.
        is_proven = answered[contract.relation].refusal is None
        assert (status.get(contract.relation) == "yes") is is_proven
        if refusal:
            assert f"{contract.name}: {refusal}." in now.certified_words.replace(
                in_words(refused), contract.name
            )
    assert "in place" not in now.certified_words
    assert now.verdict.standing in (Standing.FAILED, Standing.STALE)
    assert "not refused" not in now.verdict.words
    if all(contract.holds for contract in now.contracts):
        assert f"Readers who ask for {in_words(refused)} are refused." in now.verdict.words
    assert read_record(monday.database.connection, *_NIGHT).certified == now.certified_words


def test_below_a_materialized_view_a_replaced_query_is_told_and_nobody_is_refused(
    monday, settings, files
):
    _another_query("ml.tom_speed_cohort_v1")(monday)
    now = _page(monday, settings, files)
    assert [contract.readable for contract in now.contracts] == [True, True]
    assert "Readers who ask are not refused." in now.verdict.words


def test_a_mail_is_made_where_nobody_may_ask_yet(monday):
    """As between the new package and its apply."""
    connection = monday.database.connection
    monday.database.run("ALTER FUNCTION feature_store_audit.certificates(text[]) RENAME TO later")
    assert certified_in_words(connection).startswith("not known: the record is older than this")


def test_who_looks_at_rows_for_too_long_is_not_waited_for(monday, monkeypatch):
    monkeypatch.setattr("feature_store.validation.certificates._PATIENCE", "1ms")
    monday.database.run(
        "CREATE OR REPLACE FUNCTION feature_store_audit.made_of(p_relation regclass) "
        "RETURNS TABLE (object oid, name text, is_layer boolean, has_query boolean) "
        "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); END $$"
    )
    (asked,) = read_certificates(monday.database.connection, [F3]).values()
    assert asked.is_readable is None
    told = certified_in_words(monday.database.connection)
    assert f"For {DEVICE}, tom_features_v1 nobody can tell at the moment: " in told


def _page(nights, settings, files):
    return read_now(nights.database.connection, settings, files)


def _told(nights, feature_set: str) -> str:
    """What require_certified says; empty where it lets readers through."""
    try:
        with nights.database.connection.transaction():
            nights.required(feature_set)
    except psycopg.errors.RaiseException as refused:
        return str(refused.diag.message_primary).removeprefix("NOT CERTIFIED: ")
    return ""
