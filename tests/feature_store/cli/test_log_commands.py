"""The commands about feature logs, each as the role that it is for."""

from __future__ import annotations

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.declarations.feature_sets import logged_sets
from feature_store.validation.skew import record_skew
from feature_store.validation.suite_record import begin_suite
from sandbox.roles import OWNER, READER, REFRESHER, as_role, grant_roles
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights

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


def test_skew_is_shown_by_feature_the_largest_first(run):
    code, out, _ = run(REFRESHER, "skew")
    assert code == 0
    assert out.startswith("As run tuesday found it.\n\n")
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
    grant_roles(nights.database.conninfo)  # run again it takes nothing away
    with psycopg.connect(as_role(nights.database.conninfo, READER), autocommit=True) as reader:
        reader.execute(f"SELECT FROM {_LOG}_training LIMIT 1".encode())
