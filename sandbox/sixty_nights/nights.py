"""One night after the other: the sources as they are known then, refreshed, checked, certified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import psycopg

from feature_store.audit.lease import Lease, RunKey, release_lease, take_lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.database.side_by_side import side_by_side
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import logged_sets
from feature_store.declarations.history_series import read_history
from feature_store.declarations.store_definition import Store, read_store
from feature_store.declarations.suites import read_suites
from feature_store.errors import NotChecked
from feature_store.proof.proving import proofs
from feature_store.refresh.refresh import refresh
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from feature_store.validation.certification import certify
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.skew import record_skew
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suites import run_suite
from sandbox.load import load_sample
from sandbox.roles import OWNER, REFRESHER, as_role, grant_roles
from sandbox.sample.options import SampleOptions

_FOLDER = Path(__file__).parent
_SOURCES = {
    '"iPhone".iphone_listings': "known_listings.sql",
    '"iPhone".iphone_ai_enrich': "known_ai.sql",
    "feature_store.device_image_features_unified_v1": "known_images.sql",
}
_AT_NIGHT = time(3, 20, tzinfo=UTC)


class Nights:
    """A store whose sources come to know the sample little by little."""

    def __init__(self, conninfo: str, settings: Settings) -> None:
        """Take a database that `make_store` has made."""
        self._conninfo = conninfo
        self._settings = settings
        self._store: Store = read_store(settings.include_dir)

    @contextmanager
    def session(self, role: str = "") -> Iterator[Connection]:
        """Open a session of ours, as a role or as the superuser who owns the sources."""
        conninfo = as_role(self._conninfo, role) if role else self._conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            pin(connection, self._settings, "sixty nights")
            yield connection

    def come_to_know(self, moment: datetime) -> None:
        """Put into the sources what is known at a moment."""
        with self.session() as connection, connection.transaction():
            connection.execute("TRUNCATE life.clock")
            connection.execute("INSERT INTO life.clock VALUES (%s)", (moment,))
            for table, file in _SOURCES.items():
                connection.execute(f"TRUNCATE {table}".encode())
                connection.execute((_FOLDER / file).read_bytes())
        with self.session() as connection:
            for table in _SOURCES:
                connection.execute(f"ANALYZE {table}".encode())

    def run(self, day: date, later: timedelta = timedelta(0)) -> None:
        """A whole night, as the refresher.

        Args:
            day: it answers for this day.
            later: it runs so much later, when more is known.

        Raises:
            NotChecked: something is wrong with the data or could not be checked.
        """
        self.come_to_know(datetime.combine(day, _AT_NIGHT) + later)
        holder = RunKey("sixty_nights", f"night of {day + later}")
        with self.session(REFRESHER) as connection:
            lease = take_lease(connection, holder, lambda _: True, timedelta(0))
            open_run(connection, holder, "scheduled", day, self._settings.zone)
            for relation in self._store.refreshed:
                refresh(connection, relation, lease, self._settings.zone)
            for suite in read_suites(self._settings.include_dir):
                self._check(connection, lease, suite)
            layers = read_history(self._settings.include_dir, self._store)
            judge_history(connection, layers, lease, day, self._settings)
            with connection.transaction():
                certify(
                    connection, lease, self._store, list(logged_sets(self._settings.include_dir))
                )
            release_lease(connection, holder)

    def _check(self, connection: Connection, lease: Lease, suite: str) -> None:
        include = self._settings.include_dir
        event = begin_suite(connection, lease, suite)
        if suite == "as_of_counts":
            for feature_set in logged_sets(include).values():
                record_skew(connection, lease, feature_set, event, self._settings.skew_days)
            side_by_side(proofs(connection, self._store, lease, event), [connection])
        with ExitStack() as opened:

            def connect() -> Connection:
                another = opened.enter_context(self.session(REFRESHER))
                another.autocommit = False  # what Great Expectations counts on
                return another

            findings = run_suite(read_expectations(include, self._store, suite), connect)
        record(connection, event, findings)
        wrong = [
            f.expectation.name
            for f in findings
            if f.outcome == "error"
            or (f.outcome == "broken" and f.expectation.severity == "critical")
        ]
        if wrong:
            raise NotChecked(f"{suite} of {lease.holder}: {', '.join(wrong)}.")


def make_store(conninfo: str, sample: SampleOptions, settings: Settings) -> Nights:
    """Load a sample as what will become known, and make a store over empty sources."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        load_sample(connection, sample)
        connection.execute((_FOLDER / "truth.sql").read_bytes())
        for table in _SOURCES:
            connection.execute(f"TRUNCATE {table}".encode())
    grant_roles(conninfo)
    with psycopg.connect(as_role(conninfo, OWNER), autocommit=True) as connection:
        pin(connection, settings, "sixty nights")
        bootstrap(connection, read_store(settings.include_dir), settings)
    grant_roles(conninfo)
    return Nights(conninfo, settings)
