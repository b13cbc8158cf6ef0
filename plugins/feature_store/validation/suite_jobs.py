"""What a suite's sessions do before its expectations are checked: profiles and proofs."""

from __future__ import annotations

from functools import partial

from feature_store.audit.lease import Lease
from feature_store.connection import Connection
from feature_store.database.side_by_side import Job
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.store_definition import Store
from feature_store.declarations.suites import Check, read_suites
from feature_store.declarations.thresholds import least_rows_for_drift
from feature_store.proof.proving import proofs
from feature_store.settings import Settings
from feature_store.validation.profile import record_profile
from feature_store.validation.skew import record_skew


def suite_jobs(
    connection: Connection, store: Store, settings: Settings, lease: Lease, suite: str, event: int
) -> list[Job]:
    """The profiles and proofs of a suite, each as work for one session.

    Args:
        connection: any session.
        store: what the files say.
        settings: the store's.
        lease: held until each result is recorded.
        suite: its name.
        event: the number of this try of the suite.
    """
    checks = read_suites(settings.include_dir)[suite].checks
    jobs: list[Job] = []
    if Check.REFRESHES in checks:
        jobs += _profiles(settings, lease, event)
    if Check.SPECIFICATIONS in checks:
        jobs += proofs(connection, store, lease, event)
    return jobs


def _profiles(settings: Settings, lease: Lease, event: int) -> list[Job]:
    """Each feature set's profile and skew, for people; they prove and check nothing."""
    enough = least_rows_for_drift(settings.include_dir)

    def profile(session: Connection, feature_set: FeatureSet) -> None:
        record_profile(session, lease, feature_set, event, enough)
        record_skew(session, lease, feature_set, event, settings.skew_days)

    sets = read_feature_sets(settings.include_dir)
    return [partial(profile, feature_set=feature_set) for feature_set in sets]
