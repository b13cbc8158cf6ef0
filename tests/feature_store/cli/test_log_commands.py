"""The commands about feature logs, each as the role that it is for."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.declarations.feature_sets import logged_sets
from feature_store.validation.skew import record_skew
from feature_store.validation.suite_record import begin_suite
from sandbox.roles import OWNER, READER, REFRESHER, as_role, grant_roles
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import E_AI as _E_AI

_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_LOG = f"feature_log.{_TOM}"


@pytest.fixture(scope="module")
def nights(server, filled_template, store_files, settings):
    """A certified night, and what the next one found: half of the prices were served otherwise."""
    database = Database(server.create_database("logged", filled_template), settings)
    nights = CertifiedNights(database, store_files, settings)
    lease = nights.begin("monday")
    nights.refresh(lease)
    nights.checked(lease)
    nights.certify(lease, _TOM, _DEVICE)
    database.run(f"UPDATE {_LOG} SET price = price + 5 WHERE listing_id % 4 = 0")
    lease = nights.begin("tuesday")
    event = begin_suite(database.connection, lease, "as_of_counts")
    for feature_set in logged_sets(settings.include_dir).values():
        record_skew(database.connection, lease, feature_set, event, 90)
    yield nights
    database.close()
    server.drop_database("logged")


@pytest.fixture
def run(nights, capsys, airflow_conn):
    def run_command(role: str, *arguments: str) -> tuple[int, str, str]:
        airflow_conn(as_role(nights.database.conninfo, role))
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run_command


def _rows(run, role: str, *arguments: str) -> list[dict[str, Any]]:
    rows, problem = _judged(run, role, *arguments)
    assert problem is None
    return rows


def _judged(run, role: str, *arguments: str) -> tuple[list[dict[str, Any]], str | None]:
    """A command's rows, and the problem that it finds with them; all that judges says the same."""
    code, out, err = run(role, *arguments, "--json")
    answer = json.loads(out)
    assert list(answer) == ["command", "ok", "error", "rows"]
    problem = answer["error"] and answer["error"]["problem"]
    assert (answer["command"], answer["ok"]) == (arguments[0], problem is None)
    assert (code, bool(err)) == ((0, False) if problem is None else (1, True))
    return answer["rows"], problem


def test_skew_is_shown_by_feature_the_largest_first(run):
    code, out, _ = run(REFRESHER, "skew")
    assert code == 0
    assert out.startswith("Measured by run tuesday.\n\n")
    assert f"{_TOM}: " in out
    assert "1 of 51 features moved." in out
    assert "0 of 61 features moved." in out
    code, out, _ = run(REFRESHER, "skew", _DEVICE)
    assert (code, _TOM in out) == (0, False)
    assert run(REFRESHER, "skew", "nothing")[0] == 2


def test_status_says_how_much_is_logged_and_what_exceptions_cost(run, nights):
    code, out, _ = run(REFRESHER, "status")
    rows = nights.database.value(f"SELECT count(*) FROM {_LOG}")
    assert code == 0
    assert f"{_TOM}: {rows:,} rows, of 1 night since " in out
    assert "Measured: 0 of its 5 features moved since they were served" in out


def test_status_says_what_is_certified_and_of_the_rest_why_not(run, nights):
    _, out, _ = run(REFRESHER, "status")
    assert "\nCertified: the last run that certified the store answers for 2026-06-30: mon" in out
    told = {line["relation"]: line["certified"] for line in _rows(run, REFRESHER, "status")}
    views = {name for name, word in told.items() if word == "live view"}
    sources_alone = {"ml.spam_token_v1", "ml.spam_listings_v1", "feature_store.device_color_v1"}
    assert views == sources_alone
    assert {word for name, word in told.items() if name not in views} == {"yes"}

    nights.database.run("BEGIN; REFRESH MATERIALIZED VIEW ml.sold_prices_v1_mv; COMMIT")
    lines, problem = _judged(run, REFRESHER, "status")
    assert problem.startswith("The store is not as it should be:\n  - not certified: ")
    assert _judged(run, REFRESHER, "status", "ml.tom_labels_v1_mv")[1] is None
    rewritten = {line["relation"]: line["certified"] for line in lines}
    assert rewritten["ml.sold_prices_v1_mv"] == "no: rewritten"
    assert rewritten[_E_AI] == "no: reads D3"
    assert rewritten["ml.tom_labels_v1_mv"] == "yes"
    nights.database.run(
        "UPDATE feature_store_audit.certification_log SET file_node = "
        "pg_relation_filenode(k.oid), version = k.xmin::text FROM pg_class AS k "
        "WHERE k.oid = relation::regclass AND relation = 'ml.sold_prices_v1_mv'"
    )


@pytest.mark.parametrize(
    ("role", "arguments", "fields"),
    [
        (REFRESHER, ["status"], {"relation", "rows", "refreshed_at", "certified", "state"}),
        (REFRESHER, ["status", _E_AI], {"relation", "refresh", "bytes", "seconds"}),
        (REFRESHER, ["skew"], {"feature_set", "feature", "age", "share", "compared", "gone"}),
        (REFRESHER, ["report"], {"run_id", "verdict", "cause", "expectations", "broken"}),
        (READER, ["freshness"], {"ok", "certified_at", "age", "readable", "sources_until"}),
        (OWNER, ["served", _TOM, "LISTING"], {"feature", "served", "today", "differs"}),
    ],
)
def test_what_monitors_read_is_rows_in_one_shape(run, nights, role, arguments, fields):
    listing = nights.database.value(f"SELECT min(listing_id) FROM {_LOG}")
    words = [str(listing) if word == "LISTING" else word for word in arguments]
    rows = _rows(run, role, *words)
    assert len(rows) > 0
    assert {tuple(row) for row in rows} == {tuple(rows[0])}, "each row has the same fields"
    assert fields <= rows[0].keys()


def test_a_day_that_waits_for_a_person_is_a_row(run, nights):
    assert _rows(run, REFRESHER, "history") == []
    nights.database.run(
        "WITH found AS (INSERT INTO feature_store_audit.history_finding_log "
        "(kind, layer, relation, day, dag_id, run_id) VALUES "
        "('review', 'D1', 'ml.sold_durations_v1_mv', '2026-05-01', 'd', 'r') RETURNING finding_id) "
        "INSERT INTO feature_store_audit.history_sighting_log (finding_id, rows_came, rows_went, "
        "rows_changed, changed_columns, examples, reaches, details, row_count, dag_id, run_id) "
        "SELECT finding_id, 1, 0, 2, '{price}', '[]', '[]', '', 3, 'd', 'r' FROM found"
    )
    (row,) = _rows(run, REFRESHER, "history")
    nights.database.run("UPDATE feature_store_audit.history_finding_log SET kind = 'leak'")
    leaks, problem = _judged(run, REFRESHER, "history")
    assert [leak["kind"] for leak in leaks] == ["leak"]
    assert problem.startswith("The past moved without cause: D1 of 2026-05-01.")
    nights.database.run("DELETE FROM feature_store_audit.history_finding_log")
    assert (row["kind"], row["layer"], row["day"]) == ("review", "D1", "2026-05-01")
    assert (row["came"], row["went"], row["changed"], row["columns"]) == (1, 0, 2, ["price"])


def test_for_monitors_a_refusal_is_json_too_with_the_code_of_any_other(run):
    code, out, err = run(READER, "freshness", "--json", "--max-age", "0 hours")
    answer = json.loads(out)
    assert (code, answer["ok"], len(answer["rows"])) == (1, False, 2)
    assert answer["error"]["problem"].startswith("The store is not fresh")
    assert "airflow jobs check" in answer["error"]["next_step"]
    assert err.startswith("Error: The store is not fresh")

    code, out, _ = run(OWNER, "served", _TOM, "-7", "--json")
    assert (code, json.loads(out)["error"]["problem"]) == (2, f"{_LOG} has no listing_id -7.")


def test_what_was_served_of_a_listing_stands_beside_today(run, nights):
    listing = nights.database.value(
        f"SELECT min(listing_id) FROM {_LOG} WHERE listing_id % 4 = 0 AND price IS NOT NULL"
    )
    code, out, _ = run(OWNER, "served", _TOM, str(listing))
    assert code == 0
    assert f"listing_id {listing}, served by run monday at " in out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("differs")] == ["price"]
    code, _, err = run(OWNER, "served", _TOM, "-7")
    assert (code, f"{_LOG} has no listing_id -7." in err) == (2, True)


def test_an_entity_may_be_an_empty_text(run):
    code, _, err = run(OWNER, "served", _TOM, "")
    assert (code, "'' is not a listing_id: in" in err) == (2, True)


@pytest.mark.parametrize("t0", ["infinity", "20260-01-01", "0044-03-15 BC"])
def test_what_was_served_of_a_far_day_is_told_in_the_database_s_words(run, nights, t0):
    listing = nights.database.value(f"SELECT max(listing_id) FROM {_LOG}")
    day = nights.database.value(f"SELECT t0::text FROM {_LOG} WHERE listing_id = {listing}")
    nights.database.run(f"UPDATE {_LOG} SET t0 = '{t0}' WHERE listing_id = {listing}")
    code, out, err = run(OWNER, "served", _TOM, str(listing))
    nights.database.run(f"UPDATE {_LOG} SET t0 = '{day}' WHERE listing_id = {listing}")
    assert (code, err) == (0, "")
    assert f"listing_id {listing}, served by run monday at " in out


def test_an_altered_log_is_sealed_by_the_owner_with_a_name_and_a_reason(run, nights):
    refused = run(REFRESHER, "seal-log", _TOM, "--reason", "x")
    assert (refused[0], "permission denied" in refused[2]) == (1, True)
    code, out, _ = run(OWNER, "seal-log", _TOM, "--reason", "a mistake", "--by", "ann")
    assert code == 0
    assert "of run monday" in out
    assert run(OWNER, "seal-log", _TOM, "--reason", "x")[1].startswith("Nothing to seal")
    assert nights.database.rows(
        "SELECT by_whom, reason, sealed_by FROM feature_store_audit.seal_log "
        "WHERE by_whom IS NOT NULL"
    ) == [("ann", "a mistake", OWNER)]


def test_an_entity_is_erased_by_the_owner_once_the_sources_forgot_it(run, nights):
    listing = str(nights.database.value(f"SELECT min(listing_id) FROM {_LOG}"))
    code, _, err = run(OWNER, "erase", listing, "--reason", "art. 17", "--by", "ann")
    assert code == 1
    assert f"{listing} is in " in err
    assert "Delete it from the sources" in err
    assert run(REFRESHER, "erase", listing, "--reason", "x")[0] == 1
    nights.database.run(f'DELETE FROM "iPhone".iphone_listings WHERE listing_id = {listing}')
    nights.refresh(nights.begin("wednesday"))
    code, out, err = run(OWNER, "erase", listing, "--reason", "art. 17", "--by", "ann")
    assert (code, out.startswith("Erased: 2 rows.")) == (0, True), err
    code, _, err = run(OWNER, "erase", listing, "--reason", "art. 17")
    assert (code, err) == (
        2,
        f"Error: No feature log has {listing}.\nReaders: nothing was changed.\n",
    )


def test_what_the_law_wants_erased_goes_from_logs_of_sets_that_are_gone_too(
    run, nights, include, monkeypatch
):
    listing = str(nights.database.value(f"SELECT min(listing_id) FROM {_LOG}"))
    nights.database.run(f'DELETE FROM "iPhone".iphone_listings WHERE listing_id = {listing}')
    nights.refresh(nights.begin("wednesday"))
    (include.directory / "contracts" / f"{_DEVICE}.toml").unlink()
    text = (include.directory / "contracts" / f"{_TOM}.toml").read_text()
    include.write("contracts/unstamped.toml", text.replace(f'"{_TOM}"', '"unstamped"', 1))
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))
    code, out, err = run(OWNER, "erase", listing, "--reason", "art. 17", "--by", "ann")
    assert (code, out.startswith("Erased: 2 rows.")) == (0, True), err


def test_the_reader_reads_logs_and_training_views_and_writes_none(nights):
    with psycopg.connect(as_role(nights.database.conninfo, READER), autocommit=True) as reader:
        for relation in (_LOG, f"{_LOG}_training"):
            assert reader.execute(f"SELECT count(*) FROM {relation}".encode()).fetchone() != (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"DELETE FROM {_LOG}".encode())
    grant_roles(nights.database.conninfo)  # granting again takes nothing away
    with psycopg.connect(as_role(nights.database.conninfo, READER), autocommit=True) as reader:
        reader.execute(f"SELECT FROM {_LOG}_training LIMIT 1".encode())
