"""What models read from a real, certified store, in the role of readers."""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from threading import Thread, Timer

import numpy as np
import pandas as pd  # noqa: TID253, a frame is what is tested here
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from feature_store.client import (
    BadInput,
    CannotConnect,
    CertificationTooOld,
    ContractBroken,
    NotCertified,
    NotReady,
    TimedOut,
    read_features,
    read_training_set,
)
from feature_store.client.snapshot import one_snapshot
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.reporting.page.features.reading_lines import python_lines, sql_lines
from sandbox.roles import PAGE, READER, as_role
from tests.feature_store.refresh.certified import certify_store
from tests.feature_store.waiting import wait_for_lock
from tests.pooler import Pooler
from tests.relations import E_AI, C

TOM, DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
BOTH = (TOM, DEVICE)
LABELS = ["sold_event", "duration_hours"]


@pytest.fixture(scope="module")
def template(server, filled_template, settings, store_files):
    conninfo = server.create_database("read_by_clients", filled_template)
    certify_store(conninfo, settings, store_files)
    yield conninfo
    server.drop_database("read_by_clients")


@pytest.fixture(scope="module")
def reader(template):
    """The least privileged role: a login that may only read."""
    return as_role(template, READER)


@pytest.fixture
def harmed(server, template):
    """A copy, to be harmed by its administrator and read by a reader."""
    conninfo = server.create_database("harmed", "read_by_clients")

    def harm(*statements):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return as_role(conninfo, READER)

    yield harm
    server.drop_database("harmed")


@pytest.fixture(scope="module")
def contracts(settings):
    return {s.name: [f.name for f in s.features] for s in read_feature_sets(settings.include_dir)}


@pytest.fixture(scope="module")
def served(reader):
    return read_training_set(reader, BOTH, most_lag=None)


def _ask(conninfo, query, *values):
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query, values).fetchall()


def _pasted(conninfo, lines):
    """The rows that psql shows last, for a person who pastes these lines."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        results = [connection.execute(line) for line in lines.splitlines()]
        return [one for one in results if one.description][-1].fetchall()


def _one_of_each_type(settings):
    for feature_set in read_feature_sets(settings.include_dir):
        for feature in {
            (f.dtype, f.name == "listing_id"): f for f in feature_set.features
        }.values():
            yield feature_set, feature


def test_what_the_page_prints_of_a_feature_reads_it_as_printed(reader, settings, monkeypatch):
    for variable, part in (("HOST", "host"), ("USER", "user"), ("DATABASE", "dbname")):
        monkeypatch.setenv(f"PG{variable}", str(conninfo_to_dict(reader)[part]))
    for feature_set, feature in _one_of_each_type(settings):
        printed, names = python_lines(feature_set, feature), {}
        assert len(printed.splitlines()) == 3
        exec(printed, names)  # as for a person who pastes it
        rows = _pasted(
            "", sql_lines(feature_set, feature, settings.zone, is_view=feature_set.name == DEVICE)
        )
        assert len(names["now"]) == len(rows) > 200
        assert {str(row[0]) for row in rows} == set(map(str, names["now"].index))
        read = [] if feature.name == "listing_id" else [feature.name]
        assert list(names["now"].columns) == ["t0", *read]
        assert list(names["served"].columns) == ["t0", *read, *LABELS]


def test_the_lines_that_the_page_prints_read_the_rows_that_they_asked_about(harmed, settings):
    """No refresh comes between the question and the rows, of either kind."""
    tom = next(s for s in read_feature_sets(settings.include_dir) if s.name == TOM)
    owner = next(f for f in tom.features if f.name == "ai_owner_unknown")
    printed = sql_lines(tom, owner, settings.zone, is_view=False)
    *asked, read, end = printed.splitlines()
    conninfo = harmed('DELETE FROM "iPhone".iphone_ai_enrich')
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for line in asked:
            connection.execute(line)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            harmed("SET lock_timeout = '100ms'", f"REFRESH MATERIALIZED VIEW {E_AI}")
        harmed(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E_AI}")
        rows = connection.execute(read).fetchall()
        connection.execute(end)
    assert sorted(rows) != sorted(_ask(conninfo, read)), "the refresh changed nothing"
    with pytest.raises(psycopg.errors.RaiseException, match="NOT CERTIFIED"):
        _pasted(conninfo, printed)


def test_features_are_the_contracts_columns_in_its_order_as_certified_now(reader, contracts):
    rows = read_features(reader, TOM)

    assert list(rows.columns) == ["t0", *contracts[TOM]]
    assert rows.index.name == "listing_id"
    assert rows.index.is_monotonic_increasing
    live = _ask(reader, f"SELECT listing_id, edited_date, ptv_final::float8 FROM {E_AI} ORDER BY 1")
    assert len(live) > 200
    assert list(rows.index) == [listing for listing, *_ in live]
    assert [
        t and t.to_pydatetime() for t in rows["t0"].astype(object).where(rows["t0"].notna(), None)
    ] == [t0 for _, t0, _ in live]
    np.testing.assert_array_equal(rows["ptv_final"], np.array([p for *_, p in live], dtype=float))


def test_of_several_sets_the_first_says_which_rows_and_each_feature_comes_once(reader, contracts):
    rows = read_features(reader, BOTH)

    assert list(rows.columns) == [
        "t0",
        *contracts[TOM],
        *(f for f in contracts[DEVICE] if f not in ("listing_id", *contracts[TOM])),
    ]
    assert list(rows.index) == list(read_features(reader, TOM, columns=["price"]).index)


def test_inference_reads_by_id_and_chosen_columns(reader, served):
    wanted = [int(listing) for listing in served.index[:2]]
    rows = read_features(reader, BOTH, [*wanted, 1], columns=["ptv_final", "gmc_seg_n", "price"])

    assert list(rows.index) == wanted, "an id that the set does not have gives no row"
    assert list(rows.columns) == ["t0", "ptv_final", "gmc_seg_n", "price"]
    assert len(read_features(reader, TOM, served.index[:3])) == 3, "NumPy's numbers are ids, too"
    assert read_features(reader, TOM, []).empty, "no id is not every id"


def test_types_are_the_databases_whatever_values_came(reader):
    """One row at inference has the types of training, even where a column holds only NULL."""
    whole = read_features(reader, TOM)
    for some in (read_features(reader, TOM, [whole.index[0]]), read_features(reader, TOM, [])):
        assert dict(some.dtypes) == dict(whole.dtypes)
    assert str(whole["price"].dtype) == str(whole["ptv_final"].dtype) == "float64"
    assert str(whole["t0"].dtype) == "datetime64[us, UTC]"
    assert str(whole.index.dtype) == "int64"


def test_how_values_are_written_is_not_the_databases_choice(harmed):
    hostile = {"extra_float_digits": "-15", "bytea_output": "escape", "IntervalStyle": "iso_8601"}
    changed = [f"ALTER DATABASE harmed SET {name} = '{value}'" for name, value in hostile.items()]
    with one_snapshot(harmed(*changed), 60, lambda _: ()) as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in hostile}
    assert shown == {
        "extra_float_digits": "1",
        "bytea_output": "hex",
        "IntervalStyle": "postgres",
    }


def test_quoted_names_are_no_other_types_to_the_contract(harmed):
    conninfo = harmed("ALTER DATABASE harmed SET quote_all_identifiers = on")
    assert not read_features(conninfo, TOM).empty


def test_a_training_set_is_what_was_served_beside_labels(reader, served, contracts):
    view = f"feature_log.{TOM}_training"
    logged = _ask(
        reader,
        f"SELECT listing_id, ptv_final::float8, sold_event, duration_hours::float8 FROM {view} "
        "WHERE t0 IS NOT NULL AND sold_event IS NOT NULL ORDER BY 1",
    )
    assert len(logged) > 200
    assert list(served.columns[-2:]) == LABELS
    assert list(served.columns[1:52]) == contracts[TOM]
    assert list(served.index) == [row[0] for row in logged]
    assert list(served["sold_event"]) == [row[2] for row in logged]
    np.testing.assert_array_equal(served["ptv_final"], np.array([r[1] for r in logged], float))
    assert str(served["sold_event"].dtype) == "boolean"


def test_rebuilt_history_is_the_same_right_after_the_first_night(reader, served):
    rebuilt = read_training_set(reader, BOTH, rebuilt=True)
    pd.testing.assert_frame_equal(rebuilt, served)


def test_what_was_served_and_what_history_tells_differ_once_it_moved(harmed):
    conninfo = harmed(f"UPDATE feature_log.{TOM} SET price = price + 1")
    told = [
        read_training_set(conninfo, TOM, most_lag=None, rebuilt=rebuilt)["price"].dropna()
        for rebuilt in (False, True)
    ]
    assert (told[0] == told[1] + 1).all()


def test_what_was_served_too_late_is_left_out(reader):
    assert read_training_set(reader, TOM).empty, "all of it was there before the log began"
    assert not read_training_set(reader, TOM, most_lag="100 years").empty
    assert not read_training_set(reader, TOM, most_lag=timedelta(days=40_000)).empty


def test_a_row_without_t0_is_no_row_to_train_on(harmed, reader):
    lost = read_features(reader, TOM)["t0"].isna().sum()
    conninfo = harmed(f"UPDATE feature_log.{TOM} SET t0 = NULL WHERE listing_id % 2 = 0")
    for rebuilt in (False, True):
        rows = read_training_set(conninfo, TOM, most_lag=None, rebuilt=rebuilt, labels=False)
        assert rows["t0"].notna().all()
    assert len(rows) == len(read_features(reader, TOM)) - lost


@pytest.mark.parametrize("t0", ["infinity", "20260-01-01", "0044-03-15 BC"])
def test_a_row_of_a_far_day_keeps_no_other_row_from_readers(harmed, served, t0):
    far = served.index[0]
    conninfo = harmed(
        f"UPDATE feature_log.{TOM} SET t0 = '{t0}' WHERE listing_id = {far}",
        "DELETE FROM feature_store_audit.seal_log",
        f"UPDATE feature_store_audit.feature_log SET t0_relation = 'feature_log.{TOM}', "
        f"t0_column = 't0' WHERE feature_set = '{TOM}'",
    )
    whole = read_features(conninfo, TOM)
    assert pd.isna(whole["t0"][far])
    assert whole["t0"].notna().sum() > 200
    for rebuilt in (False, True):
        rows = read_training_set(conninfo, TOM, most_lag=None, rebuilt=rebuilt)
        assert list(rows.index) == list(served.index[1:])


@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_a_t0_of_any_type_is_one_moment_however_it_is_read(harmed, served, kind):
    """A day begins at midnight of the store's zone, as in the log, whatever its column's type."""
    zone, far = "America/New_York", served.index[0]
    local = f"(t0 AT TIME ZONE '{zone}')::{kind}"
    conninfo = harmed(
        f"CREATE TABLE feature_log.days AS SELECT listing_id, {local} AS day "
        f"FROM feature_log.{TOM}",
        f"GRANT SELECT ON feature_log.days TO {READER}",
        f"UPDATE feature_log.{TOM} SET t0 = {local}::timestamp AT TIME ZONE '{zone}'",
        "DELETE FROM feature_store_audit.seal_log",
        "UPDATE feature_store_audit.feature_log SET t0_relation = 'feature_log.days', "
        f"t0_column = 'day' WHERE feature_set = '{TOM}'",
        f"UPDATE feature_store_audit.refresh SET zone = '{zone}'",
    )
    told = read_training_set(conninfo, TOM, most_lag=None)
    assert str(told["t0"].dtype) == f"datetime64[us, {zone}]"
    now = read_features(conninfo, TOM, map(str, told.index))
    for rows in (read_training_set(conninfo, TOM, rebuilt=True), now):
        pd.testing.assert_series_equal(rows["t0"], told["t0"])
    pyarrow = pytest.importorskip("pyarrow")
    table = read_training_set(conninfo, TOM, rebuilt=True, to="arrow")
    assert table.schema.field("t0").type == pyarrow.timestamp("us", tz=zone)
    assert table["t0"].to_pylist() == told["t0"].to_list()
    for value in ("infinity", "200000-01-01"):
        harmed(f"UPDATE feature_log.days SET day = '{value}' WHERE listing_id = {far}")
        assert pd.isna(read_features(conninfo, TOM)["t0"][far])
        assert list(read_training_set(conninfo, TOM, rebuilt=True).index) == list(told.index[1:])


@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_range_of_t0_begins_with_its_first_day_and_ends_before_its_last(reader, served, rebuilt):
    first, last = date(2026, 6, 18), date(2026, 6, 21)
    days = served["t0"].dt.date
    expected = served[(days >= first) & (days < last)]
    assert 0 < len(expected) < len(served)
    for since, until in (
        (first, last),
        (first.isoformat(), last.isoformat()),
        (datetime(2026, 6, 18, tzinfo=UTC), datetime(2026, 6, 21, tzinfo=UTC)),
    ):
        rows = read_training_set(
            reader, TOM, since=since, until=until, most_lag=None, rebuilt=rebuilt
        )
        assert list(rows.index) == list(expected.index)


def test_days_begin_where_those_of_the_store_do(harmed, served):
    conninfo = harmed("UPDATE feature_store_audit.refresh SET zone = 'Pacific/Auckland'")
    rows = read_training_set(conninfo, TOM, since="2026-06-18", until="2026-06-19", most_lag=None)
    local = served["t0"].dt.tz_convert("Pacific/Auckland").dt.date
    assert list(rows.index) == list(served[local == date(2026, 6, 18)].index)
    assert str(rows["t0"].dtype) == "datetime64[us, Pacific/Auckland]"


def test_labels_may_be_left_out_and_then_every_listing_is_there(reader, served):
    rows = read_training_set(reader, TOM, labels=False, most_lag=None)
    assert not {*LABELS} & {*rows.columns}
    assert len(rows) >= len(served)


def test_what_has_no_label_yet_is_left_out(harmed, served):
    conninfo = harmed(
        f"CREATE TEMPORARY TABLE late AS SELECT * FROM feature_log.{TOM} LIMIT 1",
        "UPDATE late SET listing_id = 1",
        f"INSERT INTO feature_log.{TOM} SELECT * FROM late",
    )
    assert 1 in read_training_set(conninfo, TOM, labels=False, most_lag=None).index
    rows = read_training_set(conninfo, TOM, most_lag=None)
    assert list(rows.index) == list(served.index)


def test_it_carries_which_run_certified_it(reader, served):
    told = served.attrs["feature_store"]
    assert told["rows"] == "served"
    assert list(told["feature_sets"]) == list(BOTH)
    assert told["feature_sets"][TOM]["run_id"] == "night 1"
    assert told["feature_sets"][TOM]["as_of_day"] == "2026-06-30"
    assert len(told["feature_sets"][TOM]["contract_hash"]) == 64
    assert json.loads(json.dumps(told)) == told


def test_an_arrow_table_has_the_same_rows_and_types(reader, served):
    pyarrow = pytest.importorskip("pyarrow")
    table = read_training_set(reader, BOTH, most_lag=None, to="arrow")

    assert table.schema.field("listing_id").type == pyarrow.int64()
    assert table.schema.field("price").type == pyarrow.int32()
    assert table.schema.field("t0").type == pyarrow.timestamp("us", tz="UTC")
    assert json.loads(table.schema.metadata[b"feature_store"]) == served.attrs["feature_store"]
    frame = table.to_pandas().set_index("listing_id")
    pd.testing.assert_frame_equal(frame, served, check_dtype=False)
    assert read_features(reader, TOM, [], to="arrow").num_rows == 0


def test_a_set_of_more_pieces_than_one_is_whole(reader, served, monkeypatch):
    monkeypatch.setattr("feature_store.client.tables._ROWS", 7)
    pd.testing.assert_frame_equal(read_training_set(reader, BOTH, most_lag=None), served)


def test_rows_that_were_not_proven_are_refused(harmed):
    conninfo = harmed("REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv")
    for read in (read_features, read_training_set):
        with pytest.raises(NotCertified, match="rewritten since it was certified") as caught:
            read(conninfo, TOM)
        assert "Next: Wait for the run under way" in str(caught.value)


def test_rows_that_were_proven_too_long_ago_are_refused(reader):
    with pytest.raises(CertificationTooOld, match="more than 00:00:00 ago"):
        read_features(reader, TOM, max_age="0 hours")
    assert not read_features(reader, TOM, max_age=timedelta(hours=1)).empty


def test_a_drifted_contract_is_refused_before_anything_is_read(harmed):
    conninfo = harmed("UPDATE ml.feature_contract SET dtype = 'text' WHERE feature_name = 'price'")
    with pytest.raises(ContractBroken, match="FEATURE CONTRACT DRIFT: expected n=51") as caught:
        read_features(conninfo, TOM)
    assert "check-contract" in str(caught.value)


def test_a_feature_that_the_relation_lost_is_drift_and_no_error_of_sql(harmed):
    conninfo = harmed(f"ALTER MATERIALIZED VIEW {E_AI} RENAME COLUMN price TO prices")
    with pytest.raises(ContractBroken, match="column price is missing"):
        read_features(conninfo, TOM)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"feature_sets": "tom"},
            "There is no feature set called 'tom'.*\nNext: Use one of ",
        ),
        ({"feature_sets": []}, "expected a name, or several"),
        ({"columns": ["prise"]}, f"{TOM} has no feature called 'prise'"),
        ({"columns": ["edited_date"]}, f"{TOM} has no feature called 'edited_date'"),
        (
            {"feature_sets": BOTH, "columns": ["prise"]},
            f"{TOM} and {DEVICE} have no feature called 'prise'",
        ),
        ({"ids": "300000110"}, "expected several"),
        ({"ids": ["\ud800"]}, "ids cannot be used: .* surrogates not allowed"),
        ({"ids": ["\0"]}, "ids cannot be used: .* NUL"),
        ({"feature_sets": ["\ud800"]}, r"There is no feature set called '\\ud800'"),
        ({"columns": ["\ud800"]}, r"has no feature called '\\ud800'"),
        ({"max_age": "\ud800"}, r"max_age '\\ud800' cannot be used: .* surrogates not allowed"),
        ({"conninfo": "host=\ud800"}, "The connection string cannot be read"),
        ({"ids": ["x"]}, "ids cannot be used: invalid input syntax for type bigint"),
        ({"max_age": "soon"}, "max_age 'soon' cannot be used"),
        ({"max_age": "-1 hours"}, "max_age is -01:00:00"),
        ({"timeout": 0}, "timeout is 0"),
        ({"to": "polars"}, "to is 'polars'; expected 'pandas' or 'arrow'"),
        ({"conninfo": "host=db password"}, "The connection string cannot be read"),
    ],
)
def test_bad_input_is_one_clear_error(reader, arguments, words):
    with pytest.raises(BadInput, match=words):
        read_features(**{"conninfo": reader, "feature_sets": TOM} | arguments)


@pytest.mark.parametrize(
    "given", [{"since": "2026-13-01"}, {"until": "x"}, {"most_lag": "x"}, {"since": "\ud800x"}]
)
def test_a_range_that_is_none_is_one_clear_error(reader, given):
    with pytest.raises(
        BadInput, match=f"{next(iter(given))} cannot be used: .*(x|2026-13-01|surrogates)"
    ):
        read_training_set(reader, TOM, **given)


def test_a_missing_library_is_named(reader, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"needs pyarrow, .*\nNext: pip install pyarrow"):
        read_features(reader, TOM, to="arrow")


def test_copies_of_the_registry_are_not_taken_for_it(harmed):
    reader = harmed("CREATE TABLE public.feature_set AS TABLE ml.feature_set")
    with psycopg.connect(reader, autocommit=True) as another:
        another.execute("CREATE TEMP TABLE feature_set (features_hash text)")
        assert not read_features(reader, TOM).empty


def test_a_login_that_may_not_read_is_told_who_can_grant(template):
    with pytest.raises(
        NotReady, match=f"{PAGE} may not read everything it asked for: .*\nNext: .*grants`"
    ):
        read_features(as_role(template, PAGE), TOM)


def test_a_database_without_a_store_is_told(empty_database):
    with pytest.raises(NotReady, match="no feature store that this client knows"):
        read_features(empty_database, TOM)


def test_a_set_without_a_log_is_read_whole_and_cannot_be_trained_on(harmed):
    conninfo = harmed(
        "DELETE FROM feature_store_audit.seal_log; DELETE FROM feature_store_audit.feature_log"
    )
    rows = read_features(conninfo, TOM)
    assert len(rows) > 200
    assert "t0" not in rows
    for read in (read_training_set, lambda *a: read_features(*a, ids=[1])):
        with pytest.raises(BadInput, match="has no feature log"):
            read(conninfo, TOM)


def test_no_password_is_in_an_error():
    for conninfo in ("host=127.0.0.1 port=1 user=ann password=s3cret", "password=s3cret s3cret"):
        with pytest.raises((BadInput, CannotConnect)) as caught:
            read_features(conninfo, TOM)
        assert "s3cret" not in str(caught.value)


def test_a_lock_is_waited_for_no_longer_than_asked(harmed):
    conninfo = harmed()
    with psycopg.connect(as_role(conninfo, "postgres")) as other:
        other.execute(f"LOCK TABLE feature_log.{TOM} IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(TimedOut):
            read_training_set(conninfo, TOM, timeout=1)
        assert time.monotonic() - began < 5


def test_a_lock_on_a_source_that_hides_a_query_for_a_moment_is_waited_for(harmed):
    """As a reload of a source holds it."""
    conninfo = harmed()
    with psycopg.connect(as_role(conninfo, "postgres")) as other:
        other.execute('LOCK TABLE "iPhone".iphone_ai_enrich IN ACCESS EXCLUSIVE MODE')
        soon = Timer(0.5, other.rollback)
        soon.start()
        assert len(read_features(conninfo, TOM, timeout=30)) > 200
        soon.join()


def test_a_source_that_is_reloaded_just_then_is_read_whole(harmed, settings):
    """A snapshot of before a reload sees an empty table: the device set is a view on images."""
    conninfo = harmed()
    images = "feature_store.device_image_features_unified_v1"
    known = read_features(conninfo, DEVICE)["dev_has_images"].sum()
    assert known > 0
    device = next(s for s in read_feature_sets(settings.include_dir) if s.name == DEVICE)
    has = next(f for f in device.features if f.name == "dev_has_images")
    administrator = as_role(conninfo, "postgres")
    with (
        psycopg.connect(administrator) as other,
        psycopg.connect(administrator, autocommit=True) as watch,
        ThreadPoolExecutor(2) as pool,
    ):
        other.execute(f"CREATE TEMPORARY TABLE kept AS TABLE {images}")
        other.execute(f"TRUNCATE {images}")
        other.execute(f"INSERT INTO {images} TABLE kept")
        by_client = pool.submit(read_features, conninfo, DEVICE)
        by_sql = pool.submit(_pasted, conninfo, sql_lines(device, has, settings.zone, is_view=True))
        wait_for_lock(watch, 2)
        other.commit()
        assert by_client.result()["dev_has_images"].sum() == known
        assert sum(value for _, value in by_sql.result()) == known


def test_a_server_that_falls_silent_is_given_up(reader, monkeypatch):
    """It takes the connection and a question, and never answers."""
    address = conninfo_to_dict(reader)
    with _Relay(f"{address['host']}/.s.PGSQL.{address.get('port', 5432)}") as relay:
        conninfo = make_conninfo(reader, host="127.0.0.1", port=relay.port)
        assert len(read_features(conninfo, TOM, columns=["price"])) > 200
        relay.falls_silent = True
        began = time.monotonic()
        with pytest.raises(TimedOut, match="took longer than 1 seconds"):
            read_features(conninfo, TOM, timeout=1)
        assert time.monotonic() - began < 5


def test_through_a_pooler_of_transactions_it_leaves_the_session_as_it_was(reader):
    """PgBouncer may give each transaction another session, so settings must end with theirs."""
    shown = "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name"
    with Pooler(reader, "transaction") as pooler:
        before = _ask(pooler.conninfo, shown)
        rows = read_features(pooler.conninfo, TOM)
        assert pooler.sessions == 1, "the session that was read with is the one that is looked at"
        assert _ask(pooler.conninfo, shown) == before
    pd.testing.assert_frame_equal(rows, read_features(reader, TOM))


def test_while_it_reads_no_blocking_refresh_can_replace_the_labels(reader, template, monkeypatch):
    tried = []
    original = psycopg.ServerCursor.fetchmany

    def refreshed_meanwhile(cursor, size):
        if not tried:
            with psycopg.connect(template, autocommit=True) as other:
                other.execute("SET lock_timeout = '100ms'")
                for relation in (C, "ml.tom_features_v1_mv"):
                    try:
                        other.execute(f"REFRESH MATERIALIZED VIEW {relation}")
                    except psycopg.errors.LockNotAvailable:
                        tried.append(relation)
        return original(cursor, size)

    monkeypatch.setattr(psycopg.ServerCursor, "fetchmany", refreshed_meanwhile)
    read_training_set(reader, TOM, most_lag=None)
    assert C in tried


class _Relay:
    """A connection to a server's socket that can fall silent, like a pulled cable."""

    def __init__(self, path):
        self._path, self._listener = path, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.falls_silent = False
        self._sockets = [self._listener]

    def __enter__(self):
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in self._sockets:
            one.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                self._sockets += [client, server]
                Thread(target=self._pass, args=(client, server), daemon=True).start()
                Thread(target=self._pass, args=(server, client), daemon=True).start()

    def _pass(self, source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                if self.falls_silent and b"SET LOCAL" in data:
                    return  # both ends stay open
                sink.sendall(data)
