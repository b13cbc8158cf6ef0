"""Each upgrade of docs/upgrades.md, by the commands that the page gives."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from feature_store.audit.lease import RunKey, release_lease, take_lease
from feature_store.cli.commands import main
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.history_series import read_history
from feature_store.errors import NotReady
from feature_store.reporting.status import read_status
from feature_store.schema.apply import apply
from feature_store.schema.audit_migrations import migrate
from feature_store.schema.object_states import State
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.stamps.contract_stamp import check
from feature_store.validation.certification import read_certified
from feature_store.validation.history.definition_changes import BaselineState, begin_if_redefined
from tests.conftest import LiveStore
from tests.feature_store.validation.history.nights import Nights, named, noon, phone, quiet
from tests.relations import D1 as _D1
from tests.relations import E_AI as _E_AI
from tests.relations import A as _A

_TOM = "tom_features_v1"
_AI_FILE = f"sql/read/{_E_AI}.sql"
_CONTRACT = "contracts/tom_features_v1.toml"
_RUN = RunKey("tests", "run")


@pytest.fixture
def filled(server, filled_template, settings, store_files):
    """A filled and stamped store."""
    live = LiveStore(server.create_database("upgraded", filled_template), store_files, settings)
    live.refresh()
    release_lease(live.connection, _RUN)
    yield live
    live.close()
    server.drop_database("upgraded")


@pytest.fixture
def run(filled, include, airflow_conn, monkeypatch, capsys):
    """Run a command on the filled store with the edited files: its code and what it said."""
    airflow_conn(filled.conninfo)
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include.directory))

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out + err

    return command


def _empty(filled, include) -> bool:
    return make_plan(filled.connection, include.store, include.directory).empty


def _asserts(filled, name: str = _TOM) -> None:
    filled.connection.execute("SELECT ml.assert_feature_contract(%s)", (name,))


def _count(filled, query: str) -> int:
    return filled.connection.execute(query.encode()).fetchone()[0]


def test_a_changed_file_is_applied_by_name_and_taken_back(filled, include, run):
    before = filled.rows(_D1)
    include.edit(f"sql/base/{_D1}.sql", "/ 3600.0", "/ 60.0")
    code, said = run("apply")
    assert code == 1
    assert f"apply --replace {_D1}" in said
    assert run("plan", "--replace", _D1)[0] == 0
    code, said = run("apply", "--replace", _D1)
    assert code == 0
    assert "require_certified refuses" in " ".join(said.split())
    assert round(filled.rows(_D1)[0]["duration_hours"]) == round(before[0]["duration_hours"] * 60)
    include.edit(f"sql/base/{_D1}.sql", "/ 60.0", "/ 3600.0")
    assert run("apply", "--replace", _D1)[0] == 0
    assert sorted(map(str, filled.rows(_D1))) == sorted(map(str, before))
    assert _empty(filled, include)


def test_history_knows_that_the_definition_changed(filled, include, run):
    (layer,) = [x for x in read_history(include.directory, include.store) if x.relation == _D1][:1]
    lease = take_lease(filled.connection, _RUN, lambda _: True, timedelta(0))
    assert begin_if_redefined(filled.connection, layer, "UTC", lease) is BaselineState.FIRST
    assert begin_if_redefined(filled.connection, layer, "UTC", lease) is BaselineState.KEPT
    release_lease(filled.connection, _RUN)
    include.edit(f"sql/base/{_D1}.sql", "/ 3600.0", "/ 60.0")
    run("apply", "--replace", _D1)
    lease = take_lease(filled.connection, _RUN, lambda _: True, timedelta(0))
    assert begin_if_redefined(filled.connection, layer, "UTC", lease) is BaselineState.REDEFINED


def test_the_order_of_prices_under_one_date_moves_history_once_as_a_definition_change(
    sources_database, include
):
    """Up to 0.8.0 the snapshot took the lowest of several prices at t0, now the highest."""
    include.edit(f"sql/base/{_A}.sql", "l.price DESC NULLS LAST", "l.price ASC NULLS LAST")
    nights = Nights(sources_database, include.store, include.settings)
    nights.apply()
    nights.listings = [
        *(phone(number, "03-01", price=10000 + 100 * number) for number in range(1, 6)),
        phone(1, "03-01", price=8000),
        phone(6, "03-10", price=9000),
        phone(6, "03-10", price=10000, sold_date=noon("03-12"), sold_price=7000),
    ]
    tonight = date(2026, 6, 30)
    nights.night(tonight)
    prices = f"SELECT listing_id, price FROM {_A} WHERE listing_id IN (1, 6) ORDER BY 1"
    assert nights.rows(prices) == [(1, 8000), (6, 9000)]

    include.edit(f"sql/base/{_A}.sql", "l.price ASC NULLS LAST", "l.price DESC NULLS LAST")
    nights.use(include.store, include.settings)
    plan = str(make_plan(nights.connection, nights.files, include.directory))
    assert f"apply --replace {_A}" in plan
    apply(nights.connection, nights.files, include.settings, replace=[_A])

    verdict = nights.night(tonight)
    assert nights.rows(prices) == [(1, 10100), (6, 10000)]
    assert (verdict.leaks, verdict.reviews) == ((), ())
    changed = {f.layer: f.details for f in verdict.definition_changes}
    # The layers that read A. Sales and asks are counted row by row, and stay as they were.
    assert sorted(changed) == ["A", "AI", "D1 by cohort", "D4", "E", "F0", "F2", "device counts"]
    assert all(_A in details for details in changed.values())
    assert quiet(nights.night(tonight)), "once"
    nights.find(2)["price"] = 9000
    assert named(nights.night(tonight).reviews) == {
        "A 2026-03-01 +0 -0 ~1 price",
        "D2 2026-03-01 +0 -0 ~1 ask_median_price",
    }
    nights.connection.close()


def test_what_was_replaced_is_not_certified_any_more(filled, include, run):
    filled.connection.execute(
        "INSERT INTO feature_store_audit.certification_log SELECT relation, refresh_id, "
        "pg_relation_filenode(relation::regclass), 'd', 'r', now()::date, now(), NULL "
        "FROM feature_store_audit.latest_refresh"
    )
    ask = "SELECT count(*) FROM ml.require_certified('tom_features_v1', '1 hour')"
    assert _count(filled, ask) == 1
    include.edit(_AI_FILE, "ai.storage_gb_fixed_ai::int", "ai.storage_gb_fixed_ai::integer")
    run("apply", "--replace", _E_AI)
    with pytest.raises(Exception, match=r"NOT CERTIFIED: .*replaced by apply"):
        _count(filled, ask)
    assert read_certified(filled.connection)


def test_a_new_layer_is_two_new_files(filled, include, run):
    include.write(
        "sql/read/ml.dear_v1_mv.sql",
        f"CREATE MATERIALIZED VIEW ml.dear_v1_mv AS SELECT e.listing_id FROM {_E_AI} AS e "
        "WHERE e.price > 9000 WITH NO DATA;\n"
        "CREATE UNIQUE INDEX dear_v1_uq ON ml.dear_v1_mv (listing_id);\n"
        "COMMENT ON MATERIALIZED VIEW ml.dear_v1_mv IS 'Dear.';",
    )
    code, said = run("apply")
    assert code == 2
    assert f"Write {include.directory}/sql/specifications/ml.dear_v1_mv.sql" in said
    include.write(
        "sql/specifications/ml.dear_v1_mv.sql",
        "-- Specification: listings above 9000\n-- Relation: ml.dear_v1_mv\n-- Key: listing_id\n"
        "-- Route: those that are not below\n"
        f"SELECT e.listing_id FROM {_E_AI} AS e EXCEPT "
        f"SELECT e.listing_id FROM {_E_AI} AS e WHERE e.price <= 9000 OR e.price IS NULL",
    )
    assert run("apply")[0] == 0
    filled.files = include.store
    filled.refresh()
    assert _count(filled, "SELECT count(*) FROM ml.dear_v1_mv") > 0


def _with_a_new_feature(include) -> None:
    include.edit(
        _AI_FILE, "\nFROM ml.tom_features", ",\n    e.price * 2 AS twice\nFROM ml.tom_features"
    )
    text = (include.directory / _CONTRACT).read_text()
    row = '  { ordinal = 52, name = "twice", dtype = "int", description = "Twice." },\n]'
    head, _, tail = text.rpartition("]")
    include.write(_CONTRACT, f"{head}{row}{tail}")


def test_a_new_feature_comes_with_its_stamp_or_not_at_all(filled, include, run):
    _with_a_new_feature(include)
    told = f"{_TOM}: twice comes (stamped: 51 features, its file: 52)\n"
    assert told in run("plan")[1]
    for command in ("plan", "apply"):
        code, said = run(command, "--replace", _E_AI)
        assert code == 1
        assert told in said
        assert (
            "    its stamp will no longer hold: column twice is neither a feature nor a declared "
            f"column\n    Next: make its contract file fit, and add `--stamp-contract {_TOM}`; "
            "or restore the relation's file\n"
        ) in said
    assert "twice" not in filled.rows(_E_AI)[0]
    code, said = run("plan", "--replace", _E_AI, "--stamp-contract", _TOM)
    assert code == 0, said
    assert "    stamped again with this\n" in said
    code, said = run("apply", "--replace", _E_AI, "--stamp-contract", _TOM)
    assert code == 0, said
    assert f"{_TOM}: stamped, OK" in said
    _asserts(filled)
    assert "twice" in filled.rows(_E_AI)[0]


def test_a_contract_that_a_column_leaves_is_not_broken_without_a_word(filled, include, run):
    text = (include.directory / _AI_FILE).read_text()
    include.write(_AI_FILE, text.replace("ai_urgency_f", "ai_hurry_f"))
    code, said = run("apply", "--replace", _E_AI)
    assert code == 1
    assert "column ai_urgency_f is missing" in said
    assert "ai_urgency_f" in filled.rows(_E_AI)[0]
    _asserts(filled)


def test_a_stamp_that_fails_takes_the_new_column_back(filled, include, run):
    _with_a_new_feature(include)
    include.edit(
        _CONTRACT, 'dtype = "int", description = "Twice."', 'dtype = "text", description = "T"'
    )
    code, said = run("apply", "--replace", _E_AI, "--stamp-contract", _TOM)
    assert code == 1
    assert "column twice has the type integer, the contract says text" in said
    assert "twice" not in filled.rows(_E_AI)[0]
    _asserts(filled)


def test_a_second_version_stands_beside_the_first_and_is_activated_and_taken_back(
    filled, include, run
):
    second = _E_AI.replace("v1", "v2")
    text = (include.directory / _AI_FILE).read_text()
    text = text.replace(_E_AI, second).replace("tfeat_enr_ai_clean_uq", "tfeat_enr_ai_clean_v2_uq")
    include.write(f"sql/read/{second}.sql", text)
    include.write(
        f"sql/specifications/{second}.sql",
        f"-- Specification: the first version's rows\n-- Relation: {second}\n-- Key: listing_id\n"
        f"-- Route: as the first\nSELECT{text.partition('SELECT')[2].partition('WITH NO DATA')[0]}",
    )
    contract = (include.directory / _CONTRACT).read_text()
    contract = contract.replace(_E_AI, second)
    contract = contract.replace(f'name = "{_TOM}"', 'name = "tom_features_v2"')
    include.write("contracts/tom_features_v2.toml", contract)
    assert run("apply")[0] == 0
    assert run("stamp-contract", "tom_features_v2")[0] == 0
    filled.files = include.store
    filled.refresh()
    current = (
        "SELECT s.name FROM ml.feature_set_current AS c JOIN ml.feature_set AS s USING (set_id)"
    )
    assert filled.connection.execute(current).fetchone() == (_TOM,)
    for name in ("tom_features_v2", _TOM):
        filled.connection.execute(
            "UPDATE ml.feature_set_current "
            "SET set_id = (SELECT set_id FROM ml.feature_set WHERE name = %s)",
            (name,),
        )
        assert filled.connection.execute(current).fetchone() == (name,)
        for each in read_feature_sets(include.directory):
            assert check(filled.connection, each).result == "OK"


def test_a_renamed_source_column(filled, include, run):
    filled.connection.execute(
        'ALTER TABLE "iPhone".iphone_listings RENAME COLUMN postal_code TO zip'
    )
    include.edit("sources.toml", "postal_code =", "zip =")
    include.edit("leak_rules.toml", '"postal_code"', '"zip"')
    path = f"sql/base/{_A}.sql"
    text = (include.directory / path).read_text()
    include.write(path, text.replace("l.postal_code", "l.zip AS postal_code", 1).replace(
        "l.postal_code", "l.zip"))  # fmt: skip
    assert f"apply --replace {_A}" in run("plan")[1]
    code, said = run("apply", "--replace", _A)
    assert code == 0, said
    assert _empty(filled, include)
    _asserts(filled)


def test_a_renamed_column_of_the_store(filled, include, run):
    """A feature log keeps its columns, so the set takes a new name along with the column."""
    filled.connection.execute(
        f"CREATE VIEW public.mine AS SELECT ai_urgency_f FROM {_E_AI}".encode()
    )
    for path in (_AI_FILE, _CONTRACT, "exceptions.toml"):
        text = (include.directory / path).read_text()
        include.write(path, text.replace("ai_urgency_f", "ai_hurry_f"))
    code, said = run("apply", "--replace", _E_AI, "--stamp-contract", _TOM)
    assert code == 1
    assert "public.mine, a view of yours, cannot be kept" in said
    filled.connection.execute("DROP VIEW public.mine")
    code, said = run("apply", "--replace", _E_AI, "--stamp-contract", _TOM)
    assert code == 2
    assert "ai_urgency_f is in the log but is no longer a feature" in said
    for path in (_CONTRACT, "exceptions.toml"):
        text = (include.directory / path).read_text()
        include.write(path, re.sub(rf"(?<!\.){_TOM}\b", "tom_features_v2", text))
    contract = include.directory / _CONTRACT
    contract.rename(contract.with_name("tom_features_v2.toml"))
    assert (
        f"  - {_TOM}\n    its stamp will no longer hold: column ai_urgency_f is missing; "
        "column ai_hurry_f is neither a feature nor a declared column\n"
        "    it no longer has a file: whoever asserts it will be refused\n"
    ) in run("plan", "--replace", _E_AI)[1]
    code, said = run("apply", "--replace", _E_AI, "--stamp-contract", "tom_features_v2")
    assert code == 0, said
    for each in read_feature_sets(include.directory):
        assert check(filled.connection, each).result == "OK"


def test_the_audit_schema_of_the_first_version_with_rows_in_it(sources_db, include):
    """The first version had two steps and no certification guard."""
    store = include.store
    connection = sources_db.connection
    sources_db.run("CREATE SCHEMA ml", "CREATE SCHEMA feature_store_audit")
    migrate(connection, include.migrations[:2])
    sources_db.run(
        "INSERT INTO feature_store_audit.run VALUES "
        "('d', 'r', 'manual', '2026-06-01', 'UTC', now(), '18', 'success', now())",
        "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, mode, "
        "row_count, bytes, seconds, snapshot, zone, started_at, finished_at) "
        "VALUES ('ml.sold_prices_v1_mv', 'd', 'r', 1, 'blocking', 5, 8192, 0.1, "
        "pg_current_snapshot(), 'UTC', now(), now())",
        "INSERT INTO feature_store_audit.spam_seen VALUES (1, 7)",
        "UPDATE feature_store_audit.lease SET token = 9",
    )
    plan = make_plan(connection, store, include.directory)
    assert [m.version for m in plan.migrations] == list(range(3, len(include.migrations) + 1))
    apply(connection, store, include.settings)
    assert make_plan(connection, store, include.directory).empty
    assert sources_db.rows(
        "SELECT relation, row_count, inputs, outcome FROM feature_store_audit.refresh"
    ) == [("ml.sold_prices_v1_mv", 5, None, None)]
    assert sources_db.value("SELECT token FROM feature_store_audit.lease") == 9
    states = {line.state for line in read_status(connection, store, include.directory)}
    assert states == {State.AS_FILE}


def test_a_view_of_yours_on_the_record_is_named_before_anything_changes(sources_db, include):
    connection = sources_db.connection
    sources_db.run("CREATE SCHEMA feature_store_audit")
    migrate(connection, include.migrations[:10])
    sources_db.run("CREATE VIEW public.mine AS SELECT verdict FROM feature_store_audit.run")
    with pytest.raises(NotReady, match=r"view public\.mine depends on column verdict"):
        apply(connection, include.store, include.settings)


def test_a_finding_that_somebody_closed_by_hand_does_not_stop_the_upgrade(sources_db, include):
    connection = sources_db.connection
    sources_db.run("CREATE SCHEMA feature_store_audit")
    migrate(connection, include.migrations[:10])
    sources_db.run(
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
        "run_id, latest_dag_id, latest_run_id, outcome, closed_at, closed_by, reason) VALUES "
        "('review', 'A', 'x', '2026-01-09', 'd', 'r', 'd', 'r', 'undone', now(), 'ann', 'by hand')"
    )
    apply(connection, include.store, include.settings)
    assert sources_db.rows("SELECT outcome FROM feature_store_audit.history_finding") == [
        ("undone",)
    ]


def test_after_a_new_major_version_apply_records_the_new_wording(scratch, include):
    scratch.run(
        "UPDATE feature_store_audit.definition SET server_major = 14, live_definition = "
        "regexp_replace(live_definition, 'query:.*end of query', E'query:\\nelse\\nend of query')"
    )
    scratch.run(
        "UPDATE feature_store_audit.definition SET live_definition = "
        "replace(live_definition, ' SELECT set_id,', E' SELECT s.set_id,') "
        "WHERE object = 'the contract registry of feature_store'"
    )
    plan = make_plan(scratch.connection, include.store, include.directory)
    assert "Descriptions by this server to record: " in str(plan)
    assert not plan.blocked
    apply(scratch.connection, include.store, include.settings)
    assert make_plan(scratch.connection, include.store, include.directory).empty
    definition = scratch.value("SELECT pg_get_viewdef(%s::regclass)", "ml.spam_token_v1")
    scratch.run(f"CREATE OR REPLACE VIEW ml.spam_token_v1 AS {definition.rstrip(';')} LIMIT 3")
    plan = make_plan(scratch.connection, include.store, include.directory)
    assert [c.state for c in plan.blocked] == [State.DRIFTED]
