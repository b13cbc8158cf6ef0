"""A relation whose file is gone: no run fails for it, and it is dropped once it is named."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date, timedelta

import pytest

from feature_store.audit.lease import RunKey, release_lease, take_lease
from feature_store.cli.commands import main
from feature_store.declarations.expectations import read_expectations
from feature_store.errors import BadInput, NotReady, ProofsChanged
from feature_store.reporting.run.refreshes import read_readable
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.readiness import check_ready
from feature_store.schema.stamps.proof_stamp import stamp_proofs
from feature_store.validation.certification import certified_in_words
from tests.feature_store.conftest import Include
from tests.feature_store.refresh.certified import CertifiedNights

_NEW = "ml.days_v1_mv"
_TOP = "ml.top_v1"
_FILE = f"sql/read/{_NEW}.sql"
_SPECIFICATION = f"sql/specifications/{_NEW}.sql"
_TOP_FILE = f"sql/views/{_TOP}.sql"
_DROP = f"bin/feature-store apply --drop {_NEW}"
_QUERY = (
    "SELECT e.edited_date::date AS t0_day, count(*) AS listings "
    "FROM ml.tom_features_v1_enriched_clean_mv AS e GROUP BY e.edited_date::date"
)


def _add(include, *, top: bool = False) -> None:
    include.write(
        _FILE,
        f"CREATE MATERIALIZED VIEW {_NEW} AS {_QUERY} WITH NO DATA;\n"
        f"CREATE UNIQUE INDEX days_v1_mv_uq ON {_NEW} (t0_day);\n",
    )
    include.write(
        _SPECIFICATION,
        f"-- Specification: days\n-- Relation: {_NEW}\n-- Key: t0_day\n-- Route: x\n{_QUERY}",
    )
    if top:
        include.write(_TOP_FILE, f"CREATE VIEW {_TOP} AS SELECT d.t0_day FROM {_NEW} AS d;")


def _take_away(include, *paths: str) -> None:
    for path in paths:
        (include.directory / path).unlink()
    include._read = None


@pytest.fixture(scope="module")
def before(tmp_path_factory, settings, store_files) -> Include:
    """The files with one more relation, read once for all tests."""
    directory = tmp_path_factory.mktemp("before") / "include"
    shutil.copytree(settings.include_dir, directory)
    include = Include(directory, store_files)
    _add(include)
    return include


@pytest.fixture
def files(settings, store_files) -> Include:
    """The files without it; nobody writes into them."""
    return Include(settings.include_dir, store_files)


@pytest.fixture
def left(scratch, before):
    """A store that still has this relation, whose files are gone."""
    apply(scratch.connection, before.store, before.settings)
    return scratch


def _plan(database, include, *drop: str):
    return make_plan(database.connection, include.store, include.directory, drop=drop)


def _drop(database, include, *names: str):
    return apply(database.connection, include.store, include.settings, drop=names)


def _refused(database, include, *names: str) -> str:
    before = database.snapshot()
    with pytest.raises(NotReady) as caught, database.connection.transaction():
        _drop(database, include, *names)
    assert database.snapshot() == before
    return caught.value.problem


def test_no_run_fails_for_it(store_db, before, files):
    apply(store_db.connection, before.store, before.settings)
    nights = CertifiedNights(store_db, before.store, before.settings)
    nights.good("yesterday")
    nights.store = files.store
    with pytest.raises(ProofsChanged, match=rf"{_SPECIFICATION} is gone"):
        check_ready(store_db.connection, nights.store, files.settings)
    stamp_proofs(store_db.connection, files.store, files.directory)
    check_ready(store_db.connection, nights.store, files.settings)
    lease = nights.begin("today")
    nights.refreshed(lease, *(str(r.name) for r in nights.store.refreshed))
    (one,) = [
        e
        for e in read_expectations(files.directory, nights.store, "as_of_counts")
        if e.name == "every_layer_was_refreshed_by_this_run"
    ]
    assert store_db.rows(one.query) == []
    nights.checked(lease)
    nights.certify(lease)


def test_the_plan_names_it_and_the_way_out_and_changes_nothing(left, files):
    snapshot = left.snapshot()
    plan = _plan(left, files)
    assert plan.empty
    assert (
        f"No file any more, so that no run refreshes them: 1\n  - {_NEW}, a materialized view\n"
        f"Next: restore the file; or remove it: {_DROP}\n"
    ) in str(plan)
    assert f"To drop, as named: 1\n  - {_NEW}, a materialized view\n" in str(
        _plan(left, files, _NEW)
    )
    assert "No file any more" not in str(_plan(left, files, _NEW))
    assert left.snapshot() == snapshot


def test_prepare_says_so(left, files, caplog):
    check_ready(left.connection, files.store, files.settings)
    assert f"  - {_NEW}, a materialized view" in caplog.text
    assert f"remove it: {_DROP}\n" in caplog.text


def test_apply_leaves_it_alone_until_its_name_is_given(left, files):
    before = left.snapshot()
    assert _drop(left, files).empty
    assert left.snapshot() == before
    done = _drop(left, files, _NEW)
    assert f"Dropped, as named: 1\n  - {_NEW}, a materialized view" in done.done
    assert left.value(f"SELECT to_regclass('{_NEW}')") is None
    assert left.value("SELECT to_regclass('ml.days_v1_mv_uq')") is None
    assert "No file any more" not in str(_plan(left, files))


def test_mails_forget_it(store_db, before, files):
    apply(store_db.connection, before.store, before.settings)
    lease = CertifiedNights(store_db, before.store, before.settings).good("yesterday")
    release_lease(store_db.connection, lease.holder)
    _drop(store_db, files, _NEW)
    assert "All that it certified is still in place." in certified_in_words(store_db.connection)
    readable = read_readable(store_db.connection, "feature_store_refresh", "yesterday")
    assert _NEW not in [one.relation for one in readable]


def test_what_reads_it_keeps_it(left, files):
    left.run(f"CREATE VIEW ml.mine AS SELECT * FROM {_NEW}")
    assert _refused(left, files, _NEW) == (
        f"Nothing was applied:\n  - {_NEW} cannot be dropped: ml.mine depends on it.\n"
        "    Next: it is yours: drop it, or make it read something else; then apply"
    )
    assert "Cannot be dropped: 1\n" in str(_plan(left, files, _NEW))
    left.run("DROP VIEW ml.mine")
    left.run(
        f"CREATE FUNCTION ml.days() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM {_NEW}; END"
    )
    assert "function ml.days() depends on it" in _refused(left, files, _NEW)
    left.run("DROP FUNCTION ml.days")
    _drop(left, files, _NEW)


def test_one_that_reads_another_goes_with_it(scratch, include):
    _add(include, top=True)
    apply(scratch.connection, include.store, include.settings)
    _take_away(include, _FILE, _SPECIFICATION, _TOP_FILE)
    assert f"Next: it has no file, either: `{_DROP} {_TOP}`" in _refused(scratch, include, _NEW)
    done = _drop(scratch, include, _NEW, _TOP)
    assert done.removal
    assert [str(one.name) for one in done.removal.relations] == [_TOP, _NEW]


def test_a_reader_whose_file_reads_it_no_more_is_replaced_first(scratch, include):
    _add(include, top=True)
    apply(scratch.connection, include.store, include.settings)
    _take_away(include, _FILE, _SPECIFICATION)
    include.write(
        _TOP_FILE,
        f"CREATE VIEW {_TOP} AS SELECT e.listing_id AS t0_day "
        "FROM ml.tom_features_v1_enriched_clean_mv AS e;",
    )
    plan = make_plan(scratch.connection, include.store, include.directory, drop=[_NEW])
    assert f"add `--replace {_TOP}`" in str(plan)
    apply(scratch.connection, include.store, include.settings, [_TOP], drop=[_NEW])
    assert scratch.value(f"SELECT to_regclass('{_NEW}')") is None


_OTHER = "ml.t0_days_v1_mv"
_OTHER_FILE = f"sql/read/{_OTHER}.sql"


def _rename(include) -> None:
    """The same relation under another name: its index keeps its own."""
    for path, other in (
        (_FILE, _OTHER_FILE),
        (_SPECIFICATION, f"sql/specifications/{_OTHER}.sql"),
    ):
        include.write(other, (include.directory / path).read_text().replace(_NEW, _OTHER))
    _take_away(include, _FILE, _SPECIFICATION)


def test_a_relation_gets_another_name_in_one_command(scratch, include):
    _add(include)
    apply(scratch.connection, include.store, include.settings)
    _rename(include)
    told = str(_plan(scratch, include))
    assert "its index days_v1_mv_uq cannot be created: ml.days_v1_mv has an index of" in told
    assert f"Next: restore the file of what has the name, or drop it: `{_DROP}`." in told
    done = _drop(scratch, include, _NEW)
    assert [thing.label for thing in done.creates] == [_OTHER]
    assert scratch.value(f"SELECT to_regclass('{_NEW}')") is None
    assert scratch.rows(
        "SELECT i.indrelid::regclass::text FROM pg_index AS i "
        "WHERE i.indexrelid = 'ml.days_v1_mv_uq'::regclass"
    ) == [(_OTHER,)]
    assert _plan(scratch, include).empty


def test_a_relation_gets_another_name_with_what_reads_it(scratch, include):
    _add(include, top=True)
    for path in (_FILE, _SPECIFICATION):  # a filled one, whose view is filled with it
        include.edit(path, "ml.tom_features_v1_enriched_clean_mv", '"iPhone".iphone_listings')
    apply(scratch.connection, include.store, include.settings)
    _rename(include)
    include.edit(_TOP_FILE, _NEW, _OTHER)
    told = str(_plan(scratch, include))
    assert "Next: restore the file of what has the name, or drop that by the command below." in told
    assert f"All at once: `bin/feature-store apply --replace {_TOP} --drop {_NEW}`" in told
    apply(scratch.connection, include.store, include.settings, [_TOP], drop=[_NEW])
    assert scratch.value(f"SELECT to_regclass('{_NEW}')") is None
    assert _plan(scratch, include).empty


def test_one_that_carries_a_stamped_set_stays_until_the_set_is_unbound(left, files):
    CertifiedNights(left, files.store, files.settings)
    left.run(
        "INSERT INTO ml.feature_set (name, features_hash, n_features) VALUES ('days_v1', 'x', 1)",
        "INSERT INTO ml.feature_set_binding (set_id, relation_name) "
        f"SELECT set_id, '{_NEW}' FROM ml.feature_set WHERE name = 'days_v1'",
    )
    told = _refused(left, files, _NEW)
    assert f"{_NEW} cannot be dropped: the stamped feature set days_v1 is bound to it." in told
    (way,) = re.findall(r"as the owner: `(.*?)`", " ".join(told.split()))
    left.run(way)
    _drop(left, files, _NEW)
    with pytest.raises(Exception, match="days_v1 not found"), left.connection.transaction():
        left.run("SELECT ml.require_certified('days_v1', interval '1 day')")


def test_a_training_view_keeps_the_relation_of_its_labels(left, files):
    left.run(f"CREATE VIEW feature_log.gone_v1_training AS SELECT * FROM {_NEW}")
    told = _refused(left, files, _NEW)
    (way,) = re.findall(r"as the owner: `(.*?)`", " ".join(told.split()))
    left.run(way)
    _drop(left, files, _NEW)


def test_one_that_was_there_before_us_is_forgotten_and_stays(scratch, before, files):
    scratch.run(
        f"CREATE MATERIALIZED VIEW {_NEW} AS {_QUERY} WITH NO DATA",
        f"CREATE UNIQUE INDEX days_v1_mv_uq ON {_NEW} (t0_day)",
        f"CREATE VIEW ml.mine AS SELECT * FROM {_NEW}",
    )
    apply(scratch.connection, before.store, before.settings)
    done = _drop(scratch, files, _NEW)
    assert f"{_NEW}, a materialized view that apply did not create, and that stays" in done.done
    assert scratch.value(f"SELECT to_regclass('{_NEW}')") is not None
    assert "No file any more" not in str(_plan(scratch, files))


def test_one_that_is_a_source_now_is_forgotten_and_stays(scratch, include):
    _add(include, top=True)
    for path in (_FILE, _SPECIFICATION):  # a source must be filled
        include.edit(path, "ml.tom_features_v1_enriched_clean_mv", '"iPhone".iphone_listings')
    apply(scratch.connection, include.store, include.settings)
    scratch.run(f"REFRESH MATERIALIZED VIEW {_NEW}")
    _take_away(include, _FILE, _SPECIFICATION)
    sources = (include.directory / "sources.toml").read_text()
    include.write("sources.toml", f'{sources}\n["{_NEW}"]\nt0_day = "date"\n')
    plan = str(_plan(scratch, include))
    assert (
        f"  - {_NEW}, a materialized view that is a source now, and that stays\n"
        f"Next: have it forgotten: {_DROP}\n"
    ) in plan
    done = _drop(scratch, include, _NEW)
    assert f"Dropped, as named: 1\n  - {_NEW}, a materialized view that is a source" in done.done
    assert scratch.value(f"SELECT to_regclass('{_NEW}')")
    assert "No file any more" not in str(_plan(scratch, include))


def test_one_that_somebody_dropped_by_hand_is_forgotten(left, files):
    left.run(f"DROP MATERIALIZED VIEW {_NEW}")
    assert f"{_NEW}, which no longer exists" in str(_plan(left, files))
    _drop(left, files, _NEW)
    assert "No file any more" not in str(_plan(left, files))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ml.tom_features_v1_mv", "ml.tom_features_v1_mv has a file, "),
        (
            "ml.nonsense",
            "'ml.nonsense' is not a relation that apply created and that now has no file.",
        ),
        (
            "ml.feature_set",
            "'ml.feature_set' is not a relation that apply created and that now has no file.",
        ),
    ],
)
def test_nothing_else_is_dropped(left, files, name, problem):
    before = left.snapshot()
    with pytest.raises(BadInput) as caught:
        _drop(left, files, name)
    assert caught.value.problem.startswith(problem)
    assert left.snapshot() == before


def test_its_history_goes_with_it_and_what_nobody_answered_is_told(left, files):
    lease = take_lease(
        left.connection, RunKey("feature_store_refresh", "x"), lambda _: True, timedelta(0)
    )
    left.connection.execute(
        "SELECT feature_store_audit.begin_baseline(%s, 'days', %s, %s::jsonb, '')",
        (lease.token, _NEW, f'{{"{_NEW}": "x"}}'),
    )
    left.run(
        "INSERT INTO feature_store_audit.history_finding_log (kind, layer, relation, day, dag_id, "
        f"run_id) VALUES ('review', 'days', '{_NEW}', '2026-03-10', 'x', 'x')",
        "INSERT INTO feature_store_audit.history_sighting_log (finding_id, rows_came, rows_went, "
        "rows_changed, changed_columns, examples, reaches, details, row_count, dag_id, run_id) "
        "SELECT max(finding_id), 1, 0, 0, '{}', '[]', '[]', '', 1, 'x', 'x' "
        "FROM feature_store_audit.history_finding_log",
        "UPDATE feature_store_audit.lease SET seen_at = seen_at - interval '1 year'",
    )
    plan = str(_plan(left, files, _NEW))
    assert "Their history, to be forgotten: days\n" in plan
    assert (
        f"Reviews that nobody will have answered, closed with them: 1\n"
        f"  - review of days, {date(2026, 3, 10)}\n"
    ) in plan
    _drop(left, files, _NEW)
    assert left.rows("SELECT outcome FROM feature_store_audit.history_finding") == [("redefined",)]
    assert left.rows("SELECT layer FROM feature_store_audit.history_layer") == []


def test_the_command_line_takes_it(store_db, before, files, airflow_conn, capsys):
    apply(store_db.connection, before.store, before.settings)
    airflow_conn(store_db.conninfo)
    assert main(["apply"]) == 0
    assert f"  - {_NEW}, a materialized view\n" in capsys.readouterr().out
    assert main(["status"]) == 1, "nothing is certified yet"
    told = capsys.readouterr().out
    assert re.search(rf"\n{_NEW} .* no file any more\n", told)
    assert (
        f"  - {_NEW}, a materialized view\nNext: restore the file; or remove it: {_DROP}\n" in told
    )
    assert main(["status", "--json"]) == 1
    (row,) = [r for r in json.loads(capsys.readouterr().out)["rows"] if r["relation"] == _NEW]
    assert (row["state"], row["refresh"], row["certified"]) == ("no file any more", "", "")
    assert main(_DROP.split()[1:]) == 0, capsys.readouterr().err
    assert "Dropped, as named: 1" in capsys.readouterr().out
    assert store_db.value(f"SELECT to_regclass('{_NEW}')") is None
