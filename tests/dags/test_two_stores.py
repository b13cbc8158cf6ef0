"""Two stores in one Airflow, in two databases of one server: neither disturbs the other."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import RunKey
from feature_store.cli.commands import main
from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.reporting.report.render import file_name
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.roles import REFRESHER, as_role
from sandbox.server import Server, airflow_connection, run_psql

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples/bike_stations"
OWN, BIKES = "feature_store_refresh", "bike_stations_refresh"
OPTIONS = f"--store {FOLDER} --connection bikes"
_DAG_FILE = """
import airflow
from feature_store.operators.nightly_dag import feature_store_dag
dag = feature_store_dag({arguments})
"""
_RECORD = "feature_store_audit"


class Two:
    """Two databases, each with its store, and one Airflow with the DAG and a connection of each."""

    def __init__(self, own: str, bikes: str, dags: Path, mailbox: Mailbox) -> None:
        self.own, self.bikes = own, bikes
        self.mailbox = mailbox
        self._dags = dags

    def ask(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def run(self, dag_id: str) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        dag = DagBag(str(self._dags)).dags[dag_id]
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        return dag.test(run_conf={"as_of_day": "2026-06-30"} if dag_id == BIKES else {})

    def mails(self) -> list[Any]:
        found = self.mailbox.alarms()
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in found]

    def record(self, database: str) -> list[tuple[Any, ...]]:
        """All that the record has of runs, in order."""
        return self.ask(
            database, f"SELECT r::text FROM {_RECORD}.run_log AS r ORDER BY r.event_id"
        ) + self.ask(
            database, f"SELECT v::text FROM {_RECORD}.verdict_log AS v ORDER BY v.event_id"
        )


def text_of(mail: Any, form: str = "plain") -> str:
    text: str = mail.get_body((form,)).get_content()
    return text.replace("\r\n", "\n")


@pytest.fixture(scope="module")
def two(
    server: Server, filled_template: str, airflow_database: None, tmp_path_factory: Any
) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two_stores")
    dags = {"own.py": "", "bikes.py": f"{str(FOLDER)!r}, conn_id='bikes'"}
    for file, arguments in dags.items():
        (folder / file).write_text(_DAG_FILE.format(arguments=arguments))
    own = server.create_database("two_own", filled_template)
    bikes = server.create_database("two_bikes")
    for name in ("sources.sql", "seed.sql"):
        run_psql(bikes, FOLDER / name, ON_ERROR_STOP="1")
    with psycopg.connect(bikes, autocommit=True) as connection:
        pin(connection, Settings(), "tests")
        bootstrap(connection, read_store(FOLDER), Settings(include_dir=FOLDER, conn_id="bikes"))
    with pytest.MonkeyPatch.context() as patch, Mailbox(folder / "mails") as mailbox:
        patch.setattr("airflow.settings.DAGS_FOLDER", str(folder))
        patch.setenv("AIRFLOW_CONN_FEATURE_STORE", airflow_connection(as_role(own, REFRESHER)))
        patch.setenv("AIRFLOW_CONN_BIKES", airflow_connection(bikes))
        for variable, value in mail_settings(mailbox).items():
            patch.setenv(variable, value)
        yield Two(own, bikes, folder, mailbox)
    for name in ("two_own", "two_bikes"):
        server.drop_database(name)


@pytest.fixture(scope="module")
def nights(two: Two) -> dict[str, Any]:
    """A good night of the first store, then one of the second whose contract has drifted.

    While the second store's night runs, somebody has the first store's lease.
    """
    good = two.run(OWN)
    two.ask(two.bikes, "UPDATE bikes.feature_contract SET dtype = 'text' WHERE ordinal = 1")
    held = f"UPDATE {_RECORD}.lease SET dag_id = {{0}}, run_id = {{0}}"
    two.ask(two.own, held.format("'somebody'"))
    before = two.record(two.own)
    broken = two.run(BIKES)
    assert two.record(two.own) == before
    assert two.ask(two.own, f"SELECT run_id FROM {_RECORD}.lease") == [("somebody",)]
    two.ask(two.own, held.format("NULL"))
    return {OWN: good, BIKES: broken}


@pytest.mark.slow
class TestANightOfEach:
    def test_each_is_on_the_record_of_its_own_database_alone(self, two: Two, nights: Any) -> None:
        asked = f"SELECT dag_id, run_id, verdict FROM {_RECORD}.run"
        assert two.ask(two.own, asked) == [(OWN, nights[OWN].run_id, "passed")]
        assert two.ask(two.bikes, asked) == [(BIKES, nights[BIKES].run_id, "failed")]
        two.ask(two.own, "SELECT ml.require_certified('tom_features_v1', '1 hour')")
        with pytest.raises(psycopg.errors.RaiseException, match="NOT CERTIFIED"):
            two.ask(two.bikes, "SELECT bikes.require_certified('empty_risk_v1', '1 hour')")

    def test_the_mail_is_of_the_store_that_failed_and_its_links_lead_there(
        self, two: Two, nights: Any
    ) -> None:
        (mail,) = two.mails()
        assert mail["Subject"].startswith("bike stations 2026-06-30: ")
        text = text_of(mail)
        assert f"/dags/{BIKES}/runs/" in text
        assert f"/feature-store/?dag_id={BIKES}&run_id=" in text
        assert OWN not in text
        assert "include/" not in text

    def test_its_commands_reach_that_store_and_so_do_those_that_they_tell(
        self, two: Two, nights: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (mail,) = two.mails()
        for form in ("plain", "html"):
            body = text_of(mail, form)
            assert body.count("bin/feature-store ") == body.count(f"bin/feature-store {OPTIONS} ")
        text = text_of(mail)
        assert f"airflow dags trigger {BIKES}" in text
        asked = "SELECT md5(string_agg(c::text, '')) FROM ml.feature_contract AS c"
        first = two.ask(two.own, asked)

        (look,) = re.findall(r"bin/feature-store (.* check-contract)$", text, re.MULTILINE)
        assert main(shlex.split(look)) == 1
        stamp = f"{OPTIONS} stamp-contract empty_risk_v1 morning_load_v1 --replace"
        assert main(shlex.split(stamp)) == 0, capsys.readouterr().err
        assert main(shlex.split(look)) == 0
        assert two.ask(two.own, asked) == first

    def test_reports_do_not_overwrite_each_other(self, nights: Any) -> None:
        for dag_id, title in {OWN: "feature store", BIKES: "bike stations"}.items():
            report = Settings().report_dir / file_name(RunKey(dag_id, nights[dag_id].run_id))
            assert f": {title}, as of" in report.read_text()

    def test_only_the_store_that_was_certified_has_events_of_assets(self, nights: Any) -> None:
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session

        with create_session() as session:
            told = [
                event
                for event in session.query(AssetEvent)
                if event.source_run_id in {run.run_id for run in nights.values()}
            ]
            names = {event.asset.name for event in told}
            assert {event.source_dag_id for event in told} == {OWN}
        assert "feature_log.tom_features_v1" in names
        assert not any("/" in name for name in names)


@pytest.mark.slow
def test_a_dag_that_is_aimed_at_another_store_s_database_changes_nothing_there(
    two: Two, nights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither that store's record nor its lease; the mail says whose database it is."""
    monkeypatch.setenv("AIRFLOW_CONN_BIKES", os.environ["AIRFLOW_CONN_FEATURE_STORE"])
    before = two.record(two.own), len(two.mails())
    held = two.ask(two.own, f"SELECT l::text FROM {_RECORD}.lease AS l")

    run = two.run(BIKES)

    assert str(run.state) == "failed"
    assert two.record(two.own) == before[0]
    assert two.ask(two.own, f"SELECT l::text FROM {_RECORD}.lease AS l") == held
    mail = two.mails()[before[1]]
    assert mail["Subject"].startswith("bike stations 2026-06-30: ")
    text = " ".join(text_of(mail).split())
    assert "This database has the store iphone, of the DAG feature_store_refresh" in text
    assert "The store could not be asked: This database has the store iphone" in text


@pytest.mark.slow
def test_a_command_for_one_store_on_the_other_s_database_is_refused(
    two: Two, capsys: pytest.CaptureFixture[str]
) -> None:
    typed: Callable[[str], int] = lambda line: main(shlex.split(line))  # noqa: E731
    for command in ("status", "stamp-proofs", "accept-history --day 2026-06-01 --reason x"):
        assert typed(f"--store {FOLDER} {command}") == 1
        assert "This database has the store iphone" in capsys.readouterr().err
    assert typed(f"{OPTIONS} status") == 0
