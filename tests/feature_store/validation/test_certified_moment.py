"""What is read live is proven, certified and logged in one moment, whoever writes meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import psycopg
import pytest

from feature_store.database.side_by_side import side_by_side
from feature_store.declarations.expectations import read_expectations
from feature_store.errors import ExpectationsBroken, NotReady
from feature_store.proof.proving import proofs
from feature_store.validation import certified_moment
from feature_store.validation.certification import revoke
from feature_store.validation.certified_moment import certify_at_once
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suite_result import told
from feature_store.validation.suites import run_suite
from sandbox.roles import REFRESHER
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights, judged
from tests.relations import COUNTS, D1, E_AI, F1, F2, F3

_DEVICE = "iphone_device_meta_encoded_v2_model"
_LOG = f"feature_log.{_DEVICE}"
_IMAGES = "feature_store.device_image_features_unified_v1"
_F1_TRIMS = "nullif(trim(lower(u.body_color_key_main)), '') AS color_key"


class Night(CertifiedNights):
    """A run that has refreshed everything; its suites are still to come."""

    def __init__(self, database, store, settings) -> None:
        super().__init__(database, store, settings)
        self.settings = settings
        self.lease = self.begin("monday")

    def check(self):
        """Run the suite of proofs, and record the others as met; what of it is broken."""
        connection = self.database.connection
        self.checked(self.lease, "uniqueness", "spam_absence")
        event = begin_suite(connection, self.lease, "as_of_counts")
        side_by_side(proofs(connection, self.store, self.lease, event), [connection])
        live = [
            expectation
            for expectation in read_expectations(
                self.settings.include_dir, self.store, "as_of_counts"
            )
            if expectation.name in (F1, F3)
        ]
        findings = run_suite(live, self._for_suite)
        record(connection, event, findings)
        judged(connection, self.lease)
        return [finding for finding in findings if finding.outcome == "broken"]

    def certify_now(self, connection=None):
        connection = connection or self.database.connection
        certify_at_once(connection, self.lease, self.store, self.settings)

    def compared(self):
        """How often each live view was compared."""
        return dict(
            self.database.rows(
                "SELECT proof, count(*) FROM feature_store_audit.proof_log "
                "WHERE sources IS NOT NULL AND proof IN (%s, %s) GROUP BY proof", F1, F3
            )
        )  # fmt: skip

    def is_certified(self):
        counts = [
            self.database.value(f"SELECT count(*) FROM {log}")
            for log in ("feature_store_audit.certification_log", _LOG)
        ]
        assert all(counts) or not any(counts)
        return any(counts)

    def trim_colours(self):
        """Let F1 take ' Blue' for blue, which no image row shows yet."""
        path = next(r.file.path for r in self.store.relations if str(r.name) == F1)
        right = "nullif(u.body_color_key_main, '') AS color_key"
        file = path.read_text()
        assert file.count(right) == 1
        view = file.replace(right, _F1_TRIMS).replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
        self.database.run(
            f"UPDATE {_IMAGES} SET body_color_key_main = lower(trim(body_color_key_main))", view
        )
        self.refresh(self.lease, COUNTS, F2)

    @contextmanager
    def pausing(self, table=_LOG):
        """Let whoever adds to the log wait a moment before the next statement."""
        self.database.run(
            "CREATE FUNCTION public.pause() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'",
            "GRANT EXECUTE ON FUNCTION public.pause() TO public",
            f"CREATE TRIGGER pause AFTER INSERT ON {table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION public.pause()",
        )
        with self.database.session() as certifier:
            failed = []

            def certify():
                try:
                    self.certify_now(certifier)
                except Exception as error:
                    failed.append(error)

            thread = threading.Thread(target=certify)
            thread.start()
            while thread.is_alive() and not self._pauses():
                time.sleep(0.05)
            yield
            thread.join()
        if failed:
            raise failed[0]

    def _pauses(self):
        return self.database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
            "AND datname = current_database()"
        )

    def _for_suite(self):
        session = psycopg.connect(self.database.conninfo)
        session.execute("SET search_path = pg_catalog")
        session.commit()
        return session


@pytest.fixture(scope="module")
def refreshed(server, filled_template, store_files, settings):
    """The name of a database to copy: a store after its first refresh."""
    database = Database(server.create_database("moment", filled_template), settings)
    night = Night(database, store_files, settings)
    night.refresh(night.lease)
    database.close()
    yield "moment"
    server.drop_database("moment")


@pytest.fixture
def night(server, refreshed, store_files, settings):
    database = Database(server.create_database("at_once", refreshed), settings)
    yield Night(database, store_files, settings)
    database.close()
    server.drop_database("at_once")


_MORE = f"UPDATE {_IMAGES} SET image_count = image_count + 1"
_BLUE = f"UPDATE {_IMAGES} SET body_color_key_main = ' Blue' WHERE body_color_key_main = 'blue'"
_ROWS = "SELECT listing_id, dev_image_count FROM {} ORDER BY 1"


def test_images_written_while_rows_are_logged_fail_no_night(night):
    night.check()
    before = night.database.rows(_ROWS.format(F3))
    with night.pausing():
        night.database.run(_MORE)
    assert night.database.rows(_ROWS.format(F3)) != before
    assert night.database.rows(_ROWS.format(_LOG)) == before
    assert night.is_certified()


def test_without_a_new_image_nothing_is_compared_again(night):
    night.check()
    night.certify_now()
    assert night.compared() == {F1: 1, F3: 1}
    assert night.is_certified()


def test_images_of_after_the_suite_are_compared_before_they_are_logged(night):
    night.check()
    night.database.run(_MORE)
    with night.database.session(REFRESHER) as session:
        night.certify_now(session)
    assert night.compared() == {F1: 2, F3: 2}
    assert night.database.rows(_ROWS.format(_LOG)) == night.database.rows(_ROWS.format(F3))
    night.certify_now()
    assert night.compared() == {F1: 2, F3: 2}, "on these very rows it was compared"


def test_a_view_that_is_wrong_of_later_images_is_told_as_the_suite_would(night):
    night.trim_colours()
    assert night.check() == []
    night.database.run(_BLUE)
    with pytest.raises(ExpectationsBroken) as caught:
        night.certify_now()
    assert not night.is_certified()
    assert "1 of 2 expectations of live views are broken, by rows that came after" in str(
        caught.value
    )
    revoke(night.database.connection, night.lease.holder)
    kept = night.database.rows(
        "SELECT f.expectation, f.observed, f.breaching, p.broken > 0, f.counts "
        "FROM feature_store_audit.finding AS f INNER JOIN feature_store_audit.proof AS p "
        "ON f.expectation = p.proof WHERE f.outcome <> 'met'"
    )
    assert kept == [(F1, "1 row that breaches it", 1, True, True)]
    with pytest.raises(NotReady, match="The suite as_of_counts has critical findings: 1"):
        night.certify_now()
    by_suite = night.check()
    assert list(caught.value.items) == [told(finding) for finding in by_suite]


def test_a_set_is_refused_once_the_verdict_has_found_its_view_broken(night):
    night.trim_colours()
    night.check()
    night.certify_now()
    night.required(_DEVICE)
    night.checked(night.lease)
    night.check()
    night.database.run(_BLUE)
    with pytest.raises(ExpectationsBroken):
        night.certify_now()
    assert f"{F1} was found broken by run monday" in night.refusal(_DEVICE)
    night.required("tom_features_v1")


def test_a_set_is_refused_if_its_last_task_alone_runs_again_and_finds_its_view_broken(night):
    """What it finds belongs to a suite that was checked before the store was certified."""
    night.trim_colours()
    night.check()
    night.certify_now()
    night.database.run(_BLUE)
    with night.database.session(REFRESHER) as session, pytest.raises(ExpectationsBroken):
        night.certify_now(session)
    assert f"{F1} was found broken by run monday" in night.refusal(_DEVICE)
    night.required("tom_features_v1")


def test_of_two_tries_at_once_the_second_logs_nothing_twice(night):
    night.check()
    with night.pausing():
        night.certify_now()
    rows = night.database.rows(f"SELECT count(*), count(DISTINCT serving) FROM {_LOG}")
    assert rows == [(night.database.value(f"SELECT count(*) FROM {F3}"), 1)]


@pytest.fixture
def once_chosen(night, monkeypatch):
    """Lets another session do something right after the moment was chosen."""
    look = certified_moment._latest_try

    def let(do):
        def do_first(*args):
            with night.database.session() as session:
                session.execute("SET lock_timeout = '100ms'")
                do(session)
            return look(*args)

        monkeypatch.setattr(certified_moment, "_latest_try", do_first)

    return let


@pytest.mark.parametrize("layer", [D1, E_AI])
def test_a_layer_that_is_refreshed_by_hand_at_that_moment_is_found(night, once_chosen, layer):
    """Its rows are seen at once, although the transaction sees an earlier moment."""
    night.check()
    once_chosen(lambda session: session.execute(f"REFRESH MATERIALIZED VIEW {layer}"))
    with pytest.raises(NotReady, match=f"{layer} was refreshed or altered by hand while its rows"):
        night.certify_now()
    assert not night.is_certified()


def test_what_is_read_live_is_not_reloaded_once_the_moment_is_chosen(night, once_chosen):
    """TRUNCATE would leave the snapshot without any row."""
    night.check()

    def reload(session):
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute(f"TRUNCATE {_IMAGES}")

    once_chosen(reload)
    night.certify_now()
    assert night.is_certified()
