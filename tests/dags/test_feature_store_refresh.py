"""The DAG's policy, and whole runs of it against a real database."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.side_by_side import order
from feature_store.database.session import pin
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import Store, read_store
from feature_store.declarations.suites import read_suites
from feature_store.schema.stamps.proof_stamp import stamp_proofs
from feature_store.settings import Settings
from sandbox.roles import OWNER, REFRESHER, as_role

GATE = "assert_contract"
SUITES = tuple(read_suites(Settings().include_dir))


def _reports(run_id: str) -> list[Path]:
    folder = Path(os.environ["AIRFLOW_HOME"]) / "feature_store_reports"
    return [path for path in folder.glob("*.html") if run_id in path.read_text()]


def task_name(relation: Any) -> str:
    return f"{relation.refresh.value}.{relation.name.relation}"


class TestPolicy:
    def test_it_runs_nightly_at_0320_in_oslo_and_never_catches_up(self, dag: Any) -> None:
        assert dag.timetable.expression == "20 3 * * *"
        assert str(dag.timetable.timezone) == "Europe/Oslo"
        assert not dag.catchup
        assert dag.max_active_runs == 1

    def test_each_materialized_view_is_one_task_in_its_folders_group(
        self, dag: Any, store_files: Store
    ) -> None:
        refreshes = {task_name(r) for r in store_files.refreshed}
        suites = {f"expectations.{suite}" for suite in SUITES}
        assert set(dag.task_ids) == refreshes | suites | {"prepare", GATE}

    def test_no_tasks_id_is_part_of_anothers(self, dag: Any) -> None:
        """`airflow tasks clear` takes every task whose id contains what was typed."""
        for task in dag.task_ids:
            assert [other for other in dag.task_ids if task in other] == [task]

    def test_suites_run_side_by_side_after_every_layer(self, dag: Any, store_files: Store) -> None:
        layers = {task_name(r) for r in store_files.refreshed}
        for suite in SUITES:
            above = dag.get_task(f"expectations.{suite}").get_flat_relative_ids(upstream=True)
            assert above == layers | {"prepare"}

    def test_whatever_the_sql_reads_is_refreshed_before(self, dag: Any, store_files: Store) -> None:
        for relation in store_files.refreshed:
            above = dag.get_task(task_name(relation)).get_flat_relative_ids(upstream=True)
            for read in store_files.refreshed_before(relation):
                assert task_name(read) in above, f"{relation.name} reads {read.name}"

    def test_independent_relations_refresh_side_by_side(self, dag: Any) -> None:
        speed = "read.tom_features_v1_enriched_speed_mv"
        device = "read.device_meta_gmc_stats_t0_v1_mv"
        assert device not in dag.get_task(speed).get_flat_relative_ids(upstream=True)
        assert speed not in dag.get_task(device).get_flat_relative_ids(upstream=True)

    def test_no_read_layer_starts_before_the_base_group_is_done(
        self, dag: Any, store_files: Store
    ) -> None:
        base = {task_name(r) for r in store_files.refreshed if r.refresh is Refresh.BLOCKING}
        for relation in store_files.refreshed:
            if relation.refresh is Refresh.CONCURRENT:
                above = dag.get_task(task_name(relation)).get_flat_relative_ids(upstream=True)
                assert base <= above

    def test_the_verdict_comes_last_and_always(self, dag: Any) -> None:
        gate = dag.get_task(GATE)
        assert gate.trigger_rule == "all_done"
        assert not gate.downstream_task_ids
        # It follows each task directly. A first failure gives up all that comes after it, suites
        # included, while refreshes beside it go on.
        assert gate.upstream_task_ids == set(dag.task_ids) - {GATE}

    def test_its_page_says_what_to_do_when_it_fails(self, dag: Any) -> None:
        told = dag.doc_md.split("**When it fails.**")[1]
        assert "clear the failed task with what follows it" in " ".join(told.split())

    def test_a_task_shows_who_answers_for_it_and_what_it_does_and_ends_some_time(
        self, dag: Any, store_files: Store
    ) -> None:
        for task in dag.tasks:
            assert (task.owner, task.pool) == ("feature-store", "default_pool")
            assert task.doc_md
            assert task.execution_timeout == timedelta(hours=3)
        for relation in store_files.refreshed:
            page = dag.get_task(task_name(relation)).doc_md
            assert f"**Relation:** {relation.name}" in page
            assert "**Never sees:**" in page
            assert f"`include/sql/{relation.refresh}/{relation.name}.sql`" in page

    def test_the_trigger_form_explains_every_parameter(self, dag: Any) -> None:
        for name in dag.params:
            param = dag.params.get_param(name)
            assert {"type", "title"} <= param.schema.keys(), name
            assert param.description, name
            assert not param.value, "nothing has to be filled in"

    def test_parsing_it_imports_nothing_heavy_and_needs_no_database(self) -> None:
        """Every task parses the file again, and imports as it works what else it needs."""
        code = (
            "import runpy, sys\n"
            "from airflow.sdk import DAG, Asset, BaseOperator, CronTriggerTimetable, TaskGroup\n"
            "before = set(sys.modules)\n"
            "runpy.run_path(sys.argv[1])\n"
            "brought = {module.split('.')[0] for module in sys.modules.keys() - before}\n"
            "heavy = {'great_expectations', 'matplotlib', 'numpy', 'pandas', 'sqlalchemy', "
            "'sqlglot'}\n"
            "providers = {m for m in sys.modules if m.startswith('airflow.providers.')} - before\n"
            "print(*sorted(brought & heavy | providers))"
        )
        assert _run_python(code, "dags/feature_store_refresh.py") == ""

    def test_an_older_airflow_is_told_which_one_is_needed(self) -> None:
        """As an import error, which Airflow's pages show, and before anything else fails."""
        code = (
            "import airflow, runpy, sys\n"
            "airflow.__version__ = '3.2.1'\n"
            "sys.modules['airflow.sdk'] = None\n"
            "try:\n"
            "    runpy.run_path(sys.argv[1])\n"
            "except ImportError as error:\n"
            "    print(error)"
        )
        assert _run_python(code, "dags/feature_store_refresh.py") == (
            "feature_store_refresh needs Airflow 3.3 or later; this is 3.2.1."
        )

    def test_a_checkout_anywhere_brings_its_own_package_and_files(self, tmp_path: Path) -> None:
        """A bundle is a folder that Airflow chose; an older package may lie beside it."""
        for folder in ("dags", "include", "plugins"):
            shutil.copytree(folder, tmp_path / folder)
        (tmp_path / "include/sql/base/ml.only_here_mv.sql").write_text("SELECT 1")
        code = (
            "import runpy, sys\n"
            "of_the_file = runpy.run_path(sys.argv[1])\n"
            "import feature_store\n"
            "print(feature_store.__file__, 'base.only_here_mv' in of_the_file['dag'].task_ids)"
        )
        told = _run_python(code, str(tmp_path / "dags/feature_store_refresh.py"))
        assert told == f"{tmp_path}/plugins/feature_store/__init__.py True"

    def test_a_bundle_that_is_the_whole_checkout_has_no_other_dag_file(self) -> None:
        """Airflow would import every file that it takes for one, tests included."""
        from airflow.utils.file import list_py_file_paths

        root = Path(__file__).resolve().parents[2]
        assert [Path(path) for path in list_py_file_paths(root)] == [
            root / "dags/feature_store_refresh.py"
        ]


def _run_python(code: str, *arguments: str) -> str:
    """The last line that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def looking(first_run: Any) -> Iterator[psycopg.Connection]:
    """A session on the store of the first run, to look at it."""
    with psycopg.connect(first_run.conninfo, autocommit=True) as session:
        yield session


class TestAGoodRun:
    def test_it_refreshes_everything_and_records_it(
        self, first_run: Any, looking: psycopg.Connection, store_files: Store
    ) -> None:
        run, connection = first_run, looking
        assert set(run.tasks.values()) == {"success"}
        refreshed = connection.execute(
            "SELECT relation, row_count, run_id, zone FROM feature_store_audit.refresh"
        ).fetchall()
        assert {r[0] for r in refreshed} == {str(r.name) for r in store_files.refreshed}
        assert {r[2:] for r in refreshed} == {(run.run_id, "UTC")}
        for relation, rows, _, _ in refreshed:
            found = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
            assert found == (rows,)
        assert connection.execute(
            "SELECT as_of_day::text, verdict FROM feature_store_audit.run"
        ).fetchall() == [("2026-06-30", "passed")]
        assert connection.execute("SELECT run_id FROM feature_store_audit.lease").fetchone() == (
            None,
        )
        traced = connection.execute(
            "SELECT run_id, count(*) FROM feature_store_audit.feature_lineage GROUP BY run_id"
        ).fetchall()
        assert traced == [(run.run_id, 51 + 61)]
        assert run.returned["prepare"] == "2026-06-30"
        assert run.returned[GATE]["tom_features_v1"].startswith("33d030da")

    @pytest.mark.refreshed
    def test_later_runs_spare_the_readers_of_read_layers_and_keep_the_spam_that_they_saw(
        self, run_dag: Any, database: str, connection: psycopg.Connection, store_files: Store
    ) -> None:
        again = run_dag(database, refresh_unchanged=True)

        modes = dict(
            connection.execute(
                "SELECT relation, mode FROM feature_store_audit.refresh WHERE run_id = %s",
                (again.run_id,),
            ).fetchall()
        )
        assert modes == {
            str(r.name): "concurrent" if r.refresh is Refresh.CONCURRENT else "blocking"
            for r in store_files.refreshed
        }
        first = connection.execute(
            "SELECT DISTINCT mode FROM feature_store_audit.refresh WHERE run_id <> %s",
            (again.run_id,),
        ).fetchall()
        assert first == [("blocking",)]
        seen = connection.execute(
            "SELECT refresh_id, count(*) FROM feature_store_audit.spam_seen GROUP BY refresh_id"
        ).fetchall()
        spam = connection.execute("SELECT count(*) FROM ml.spam_listings_v1").fetchone()
        latest = connection.execute(
            "SELECT max(refresh_id) FROM feature_store_audit.refresh "
            "WHERE relation = 'ml.tom_features_v1_enriched_clean_mv'"
        ).fetchone()
        assert seen == [(latest[0], spam[0])]
        assert spam[0] > 0

    @pytest.mark.refreshed
    def test_a_run_over_unchanged_sources_refreshes_nothing_and_is_proven_all_the_same(
        self,
        run_dag: Any,
        database: str,
        connection: psycopg.Connection,
        store_files: Store,
        first_run: Any,
    ) -> None:
        again = run_dag(database)

        assert set(again.tasks.values()) == {"success"}
        reasons = {again.returned[task_name(r)]["reason"] for r in store_files.refreshed}
        assert reasons == {f"unchanged since run {first_run.run_id}"}
        assert connection.execute(
            "SELECT count(*) FROM feature_store_audit.refresh WHERE run_id = %s", (again.run_id,)
        ).fetchone() == (0,)
        assert connection.execute(
            "SELECT run_id FROM ml.require_certified('tom_features_v1', '1 hour')"
        ).fetchone() == (again.run_id,)

    @pytest.mark.refreshed
    def test_only_what_a_change_reaches_is_refreshed(
        self, run_dag: Any, database: str, connection: psycopg.Connection
    ) -> None:
        connection.execute('UPDATE "iPhone".iphone_ai_enrich SET first_owner = NOT first_owner')

        again = run_dag(database)

        assert connection.execute(
            "SELECT relation FROM feature_store_audit.refresh WHERE run_id = %s", (again.run_id,)
        ).fetchall() == [("ml.tom_features_v1_enriched_ai_clean_mv",)]

    @pytest.mark.refreshed
    def test_a_run_answers_for_the_day_of_its_logical_date(
        self, run_dag: Any, database: str, connection: psycopg.Connection
    ) -> None:
        run = run_dag(database, logical_date=datetime(2026, 6, 12, 23, 30, tzinfo=UTC))

        day = connection.execute(
            "SELECT as_of_day::text FROM feature_store_audit.run WHERE run_id = %s", (run.run_id,)
        ).fetchone()
        assert day == ("2026-06-12",)

    def test_it_certifies_the_store_and_reports_itself_without_a_mail(
        self, first_run: Any, looking: psycopg.Connection
    ) -> None:
        for schema, feature_set in (
            ("ml", "tom_features_v1"),
            ("feature_store", "iphone_device_meta_encoded_v2_model"),
        ):
            assert looking.execute(
                f"SELECT as_of_day::text, run_id FROM {schema}.require_certified(%s, '1 hour')",
                (feature_set,),
            ).fetchone() == ("2026-06-30", first_run.run_id)
        # Reports of later runs name this one, too, as the run since which nothing has changed.
        told = [report.read_text() for report in _reports(first_run.run_id)]
        assert sum("<h1>Passed: feature store, as of 2026-06-30</h1>" in one for one in told) == 1
        assert first_run.alarms == 0

    def test_only_the_verdict_sends_asset_events_one_for_each_relation_and_log_that_readers_read(
        self, first_run: Any, store_files: Store
    ) -> None:
        from airflow.models.asset import AssetEvent, AssetModel
        from airflow.utils.session import create_session

        with create_session() as session:
            events = (
                session.query(AssetModel.name, AssetEvent.source_task_id, AssetEvent.extra)
                .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
                .filter(AssetEvent.source_run_id == first_run.run_id)
                .all()
            )
        read = {str(r.name) for r in store_files.refreshed if r.refresh is Refresh.CONCURRENT}
        logs = {"feature_log.tom_features_v1", "feature_log.iphone_device_meta_encoded_v2_model"}
        assert {name for name, _, _ in events} == read | logs | {
            "feature_store.device_meta_encoded_t0_v1"
        }
        assert {task for _, task, _ in events} == {GATE}
        assert {extra["run_id"] for _, _, extra in events} == {first_run.run_id}
        assert {extra["as_of_day"] for n, _, extra in events if n in read} == {"2026-06-30"}
        for name, _, extra in events:
            if name in logs:
                assert extra["rows_added"] == extra["rows"] > 0


class TestTheLease:
    @pytest.mark.refreshed
    def test_a_run_that_ended_without_giving_the_lease_back_does_not_keep_it(
        self, run_dag: Any, database: str, connection: psycopg.Connection, first_run: Any
    ) -> None:
        connection.execute(
            "UPDATE feature_store_audit.lease SET dag_id = 'feature_store_refresh', run_id = %s, "
            "taken_at = now(), seen_at = now()",
            (first_run.run_id,),
        )

        assert run_dag(database).state == "success"

    @pytest.mark.refreshed
    def test_a_run_that_airflow_has_forgotten_keeps_it_until_it_has_been_silent_for_long(
        self, run_dag: Any, database: str, connection: psycopg.Connection
    ) -> None:
        connection.execute(
            "UPDATE feature_store_audit.lease SET dag_id = 'feature_store_refresh', "
            "run_id = 'deleted', taken_at = now(), seen_at = now() - interval '901 seconds'"
        )

        assert run_dag(database).state == "success"


class TestABadRun:
    @pytest.mark.refreshed
    def test_bad_data_fails_the_run_once_and_leaves_the_layer_readable(
        self, run_dag: Any, database: str, connection: psycopg.Connection
    ) -> None:
        target = "ml.tom_features_v1_enriched_ai_clean_mv"
        before = connection.execute(f"SELECT count(*) FROM {target}").fetchone()
        connection.execute(
            'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey'
        )
        connection.execute(
            'INSERT INTO "iPhone".iphone_ai_enrich (listing_id, opening_offer_nok) '
            f"SELECT listing_id, 987654 FROM {target} LIMIT 1"
        )

        run = run_dag(database)

        assert run.state == "failed"
        failed = {task for task, state in run.tasks.items() if state == "failed"}
        assert failed == {"read.tom_features_v1_enriched_ai_clean_mv", GATE}
        assert connection.execute(f"SELECT count(*) FROM {target}").fetchone() == before
        assert connection.execute(
            "SELECT verdict FROM feature_store_audit.run WHERE run_id = %s", (run.run_id,)
        ).fetchone() == ("failed",)
        # Once the source is mended, the next run succeeds without work by hand.
        connection.execute('DELETE FROM "iPhone".iphone_ai_enrich WHERE opening_offer_nok = 987654')
        assert run_dag(database).state == "success"

    @pytest.mark.refreshed
    def test_broken_expectations_fail_the_run_and_the_other_suites_still_run(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        """A concurrent refresh silently drops one of two identical AI rows; the suite finds it."""
        connection.execute(
            'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey'
        )
        connection.execute(
            'INSERT INTO "iPhone".iphone_ai_enrich '
            'SELECT a.* FROM "iPhone".iphone_ai_enrich AS a '
            "INNER JOIN ml.tom_features_v1_enriched_ai_clean_mv AS e USING (listing_id) "
            "WHERE a.storage_gb_fixed_ai IS NULL LIMIT 1"
        )

        run = run_dag(database)

        failed = {task for task, state in run.tasks.items() if state == "failed"}
        assert failed == {"expectations.uniqueness", "expectations.as_of_counts", GATE}
        assert run.tasks["expectations.spam_absence"] == "success"
        found = connection.execute(
            "SELECT suite, count(*) FILTER (WHERE outcome = 'broken' AND severity = 'critical') "
            "FROM feature_store_audit.expectation WHERE run_id = %s GROUP BY suite ORDER BY suite",
            (run.run_id,),
        ).fetchall()
        assert found == [("as_of_counts", 1), ("spam_absence", 0), ("uniqueness", 1)]
        (mail,) = mailbox.alarms()
        message = message_from_bytes(mail.read_bytes(), policy=policy.default)
        assert (
            "uniqueness broken, 1 row of ml.tom_features_v1_enriched_ai_clean_mv and 1"
            in message["Subject"]
        )
        text = message.get_body(("plain",)).get_content()
        assert "iPhone.iphone_ai_enrich has 2 rows for listing_id" in text
        assert "refresh_unchanged" not in text
        assert "Log of expectations.uniqueness" in text
        (report,) = _reports(run.run_id)
        assert "<h1>FAILED: feature store" in report.read_text()
        with pytest.raises(psycopg.errors.RaiseException, match="has not been certified"):
            connection.execute("SELECT ml.require_certified('tom_features_v1', '1 hour')")

    @pytest.mark.refreshed
    def test_a_contract_that_drifted_fails_the_run_at_its_end(
        self, run_dag: Any, database: str, connection: psycopg.Connection
    ) -> None:
        connection.execute(
            "UPDATE ml.feature_contract SET dtype = 'int8' WHERE feature_name = 'price'"
        )

        run = run_dag(database)

        assert run.state == "failed"
        assert [t for t, state in run.tasks.items() if state == "failed"] == [GATE]

    @pytest.mark.slow
    def test_a_verdict_that_another_run_wrote_is_not_taken_for_a_certificate(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        """Another run takes the lease and closes this one's record; then the connection breaks."""
        connection.execute(
            "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'; "
            "GRANT EXECUTE ON FUNCTION public.wait() TO public; "
            "CREATE TRIGGER wait BEFORE INSERT ON feature_store_audit.certification_log "
            "FOR EACH ROW EXECUTE FUNCTION public.wait()"
        )
        over = threading.Event()

        def close_and_break() -> None:
            certifying = (
                "FROM pg_stat_activity AS a WHERE a.datname = current_database() "
                "AND a.wait_event = 'PgSleep'"
            )
            with psycopg.connect(database, autocommit=True) as other:
                while not over.wait(0.2):
                    other.execute(
                        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, problem) "
                        "SELECT r.dag_id, r.run_id, 'It stopped without a verdict.' "
                        f"FROM feature_store_audit.run AS r WHERE EXISTS (SELECT {certifying})"
                    )
                    other.execute(f"SELECT pg_terminate_backend(a.pid, 5000) {certifying}")

        another = threading.Thread(target=close_and_break)
        another.start()
        run = run_dag(database)
        over.set()
        another.join()

        assert run.tasks[GATE] == "failed"
        assert len(mailbox.alarms()) == 1
        assert connection.execute("SELECT FROM feature_store_audit.certified").fetchall() == []

    @pytest.mark.refreshed
    def test_a_suite_that_fails_before_it_has_checked_does_not_tell_what_it_once_found(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        connection.execute(
            "CREATE FUNCTION public.of_an_earlier_try() RETURNS trigger LANGUAGE plpgsql "
            "SECURITY DEFINER AS $$ DECLARE v_event bigint; BEGIN "
            "INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite) "
            "VALUES (NEW.dag_id, NEW.run_id, 'as_of_counts') RETURNING event_id INTO v_event; "
            "INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, relation, "
            "severity, outcome, expected, observed, sample, seconds) VALUES (v_event, 'x', 'ml.x', "
            "'critical', 'broken', 'x', '9 rows that breach it', '[]', 0); RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER earlier AFTER INSERT ON feature_store_audit.run_log "
            "FOR EACH ROW EXECUTE FUNCTION public.of_an_earlier_try()"
        )
        connection.execute(
            "ALTER TABLE feature_store_audit.proof_log ADD CHECK (suite_event IS NULL) NOT VALID"
        )

        run = run_dag(database)

        assert run.tasks["expectations.as_of_counts"] == "failed"
        (mail,) = mailbox.alarms()
        message = message_from_bytes(mail.read_bytes(), policy=policy.default)
        assert "broken" not in message["Subject"]
        assert "9 rows" not in message.get_body(("plain",)).get_content()

    def test_a_grant_that_is_missing_is_named_before_any_work(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        connection.execute(f"REVOKE ALL ON feature_store_audit.lease FROM {REFRESHER}")

        run = run_dag(database)

        assert run.tasks["prepare"] == run.tasks[GATE] == "failed"
        (mail,) = mailbox.alarms()
        message = message_from_bytes(mail.read_bytes(), policy=policy.default)
        assert "prepare failed" in message["Subject"]
        told = " ".join(message.get_body(("plain",)).get_content().split())
        assert "lacks a privilege on feature_store_audit.lease" in told

    def test_one_that_is_missing_elsewhere_leaves_the_record_of_a_run_that_failed(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        connection.execute(f"REVOKE ALL ON feature_store_audit.spam_seen FROM {REFRESHER}")

        run = run_dag(database)

        assert run.tasks["prepare"] == run.tasks[GATE] == "failed"
        verdict, problem = connection.execute(
            "SELECT verdict, problem FROM feature_store_audit.run WHERE run_id = %s", (run.run_id,)
        ).fetchone()
        assert verdict == "failed"
        assert "lacks a privilege on feature_store_audit.spam_seen" in " ".join(problem.split())
        assert connection.execute("SELECT run_id FROM feature_store_audit.lease").fetchone() == (
            None,
        )

    def test_what_prepare_finds_stops_the_run_before_any_work(
        self, run_dag: Any, database: str, connection: psycopg.Connection
    ) -> None:
        connection.execute('ALTER TABLE "iPhone".iphone_ai_enrich RENAME COLUMN sale_mode TO mode')

        run = run_dag(database, as_of_day="2026-06-30")

        assert run.tasks["prepare"] == "failed"
        assert run.tasks[GATE] == "failed"
        assert connection.execute(
            "SELECT count(*) FROM feature_store_audit.refresh"
        ).fetchone() == (0,)
        day, verdict, problem = connection.execute(
            "SELECT as_of_day::text, verdict, problem FROM feature_store_audit.run"
        ).fetchone()
        assert (day, verdict) == ("2026-06-30", "failed")
        assert (
            "- prepare failed: The source column iPhone.iphone_ai_enrich.sale_mode is missing"
            in problem
        )
        (report,) = _reports(run.run_id)
        assert (
            "- prepare failed: The source column iPhone.iphone_ai_enrich.sale_mode is missing"
            in report.read_text()
        )
        assert connection.execute("SELECT run_id FROM feature_store_audit.lease").fetchone() == (
            None,
        )

    def test_without_a_store_the_run_fails_and_creates_nothing(
        self, run_dag: Any, sources_database: str, mailbox: Any
    ) -> None:
        run = run_dag(sources_database)

        (mail,) = mailbox.alarms()
        assert "prepare-failed" in mail.name

        assert run.tasks["prepare"] == "failed"
        assert run.tasks[GATE] == "failed"
        with psycopg.connect(sources_database) as session:
            ours = session.execute(
                "SELECT to_regclass('ml.tom_features_v1_mv'), "
                "to_regclass('feature_store_audit.lease')"
            ).fetchone()
        assert ours == (None, None)

    @pytest.mark.parametrize("day", ["2026-13-01", "yesterday"])
    def test_a_malformed_as_of_day_is_refused(
        self, run_dag: Any, database: str, connection: psycopg.Connection, day: str
    ) -> None:
        from airflow.sdk.exceptions import ParamValidationError

        with pytest.raises(ParamValidationError):
            run_dag(database, as_of_day=day)
        assert connection.execute(
            "SELECT count(*) FROM feature_store_audit.refresh"
        ).fetchone() == (0,)

    @pytest.mark.parametrize("given", [{"as_of_day": "2999-01-01"}, {"as_of_date": "2026-06-12"}])
    def test_a_day_that_is_not_yet_and_a_parameter_that_is_none_stop_prepare_with_nothing_changed(
        self,
        run_dag: Any,
        database: str,
        connection: psycopg.Connection,
        mailbox: Any,
        given: dict[str, str],
    ) -> None:
        run = run_dag(database, **given, accept_shrink=True)
        assert run.state == "failed"
        assert run.tasks["prepare"] == "failed"
        # To clear the run would keep the parameter. A new run is given all the others.
        (mail,) = mailbox.alarms()
        typed = "airflow dags trigger feature_store_refresh --conf "
        body = message_from_bytes(mail.read_bytes(), policy=policy.default).get_body(("plain",))
        assert body is not None
        (line,) = [x for x in body.get_content().splitlines() if x.startswith(typed)]
        again = json.loads(shlex.split(line)[-1])
        assert again.pop("as_of_day", None) != given.get("as_of_day", "")
        assert again == {"accept_shrink": True}
        # A run for a day that has not come leaves no record; others leave one that says failed.
        assert connection.execute(
            "SELECT (SELECT count(*) FROM feature_store_audit.refresh), "
            "(SELECT count(*) FROM feature_store_audit.run WHERE verdict IS DISTINCT FROM 'failed')"
        ).fetchone() == (0, 0)


class TestHistory:
    """Runs that answer for a day long after the sample's, so that all of its days are settled."""

    DAY = "2026-09-30"

    @pytest.mark.refreshed
    def test_an_old_day_that_changed_passes_and_is_mailed_once(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        connection.execute(
            'UPDATE "iPhone".iphone_listings SET price = price + 1 WHERE listing_id = '
            "(SELECT min(listing_id) FROM ml.tom_features_v1_enriched_ai_clean_mv)"
        )

        assert run_dag(database, as_of_day=self.DAY).state == "success"

        (mail,) = mailbox.alarms()
        message = message_from_bytes(mail.read_bytes(), policy=policy.default)
        assert "changed: please review" in message["Subject"]
        text = message.get_body(("plain",)).get_content()
        assert "bin/feature-store accept-history --day 2026-06-" in text
        assert re.search(
            r"^2026-06-\d\d: 1 listing changed in price, \d+ \(price \d+ → \d+\); this moves ",
            text,
            re.M,
        )
        # The next night sends nothing new, as the review is still pending.
        assert run_dag(database, as_of_day=self.DAY).state == "success"
        assert len(mailbox.alarms()) == 1

    @pytest.mark.refreshed
    def test_a_feature_that_moved_without_cause_fails_the_run_and_loses_its_certification(
        self, run_dag: Any, database: str, connection: psycopg.Connection, mailbox: Any
    ) -> None:
        # As if the night before had seen other anchors on some day.
        connection.execute(
            "UPDATE feature_store_audit.history_day SET fingerprint = '\\x00' "
            "WHERE (layer, day) = (SELECT layer, max(day) FROM feature_store_audit.history_day "
            "WHERE layer = 'E' GROUP BY layer)"
        )

        run = run_dag(database, as_of_day=self.DAY)

        assert [task for task, state in run.tasks.items() if state == "failed"] == [GATE]
        (mail,) = mailbox.alarms()
        message = message_from_bytes(mail.read_bytes(), policy=policy.default)
        assert "The past moved without cause: E of 2026-" in message["Subject"]
        with pytest.raises(psycopg.errors.RaiseException, match="was found broken"):
            connection.execute("SELECT ml.require_certified('tom_features_v1', '1 hour')")


@pytest.mark.refreshed
def test_what_nobody_stamped_stops_the_run_before_any_work_and_what_is_stamped_and_leaks_fails(
    run_dag: Any,
    database: str,
    mailbox: Any,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    include = shutil.copytree(settings.include_dir, tmp_path / "include")
    rules = include / "leak_rules.toml"
    rules.write_text(rules.read_text().replace('"ml.sold_prices_v1_mv" = ["sold_day"]', ""))
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(include))

    run = run_dag(database)

    failed = {task for task, state in run.tasks.items() if state == "failed"}
    assert failed == {"prepare", GATE}
    assert "success" not in run.tasks.values()
    (mail,) = mailbox.alarms()
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    assert "prepare failed: leak_rules.toml, outcome" in message["Subject"]
    body = message.get_body(("plain",))
    assert body is not None
    assert "bin/feature-store stamp-proofs" in body.get_content()
    with psycopg.connect(as_role(database, OWNER), autocommit=True) as owner:
        pin(owner, settings, "stamp-proofs")
        stamp_proofs(owner, read_store(include), include)

    run = run_dag(database)

    assert [task for task, state in run.tasks.items() if state == "failed"] == [GATE]
    (_, mail) = sorted(mailbox.mails(), key=lambda mail: mail.stat().st_mtime_ns)
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    assert "may see what was not known at t0" in message["Subject"]


def test_code_that_somebody_put_on_a_source_stops_the_run_before_it_is_run(
    run_dag: Any, database: str, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE SEQUENCE public.ran")
    connection.execute(
        "CREATE FUNCTION public.yes(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
        "$$BEGIN PERFORM nextval('public.ran'); RETURN true; END$$"
    )
    listings = '"iPhone".iphone_listings'
    connection.execute(f"CREATE INDEX odd ON {listings} (price) WHERE public.yes(1)".encode())
    connection.execute(f"ALTER TABLE {listings} ENABLE ROW LEVEL SECURITY".encode())
    connection.execute(f"CREATE POLICY nosy ON {listings} USING (public.yes(2))".encode())
    connection.execute("ALTER SEQUENCE public.ran RESTART")

    run = run_dag(database)

    assert run.tasks["prepare"] == "failed"
    assert connection.execute("SELECT is_called FROM public.ran").fetchone() == (False,)


def test_the_benchmark_refreshes_side_by_side_in_this_dags_order(dag, store_files):
    names = {r.name.relation: r.name for r in store_files.refreshed}
    refreshes = {task.task_id: names.get(task.label) for task in dag.tasks}
    waits = {
        name: {refreshes[i] for i in dag.get_task(task_id).get_flat_relative_ids(upstream=True)}
        for task_id, name in refreshes.items()
        if name
    }
    assert order(store_files) == {name: before - {None} for name, before in waits.items()}
