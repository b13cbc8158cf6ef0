"""Every part of the page asks only what every supported server understands."""

from __future__ import annotations

from feature_store.reporting.page.features.feature_profile import read_feature_profile
from feature_store.reporting.page.features.features import read_feature
from feature_store.reporting.page.features.profiles import read_profiles
from feature_store.reporting.page.nights import read_nights
from feature_store.reporting.page.now import read_now
from feature_store.reporting.page.reports import draw, drawable
from feature_store.reporting.page.runs import read_run, read_runs
from feature_store.reporting.page.tasks import RunTasks
from feature_store.reporting.store.models import Standing
from tests.feature_store.reporting.page.nights import write_nights

_RUN = ("feature_store_refresh", "scheduled__3")


def test_every_part_is_read_on_every_version(store, settings, files):
    connection = store.connection
    write_nights(connection, files, 1, 5)
    verdict = read_now(connection, settings, files).verdict  # a record alone certifies nothing
    assert verdict.standing is Standing.FAILED
    assert len(read_nights(connection, settings, files, 90).runs) == 5
    assert len(read_runs(connection, settings, None, 3).runs) == 3
    run = read_run(connection, settings, files, *_RUN, RunTasks())
    assert run.run in read_runs(connection, settings, None, 50).runs
    assert _RUN[1] in draw(drawable(*_RUN)(connection, settings, files)).decode()
    feature = read_feature(connection, settings, files, "tom_features_v1", "price", 730)
    assert len(feature.nulls) == 5
    profile = read_feature_profile(connection, settings, files, "tom_features_v1", "price", 730)
    assert (len(profile.nights), len(profile.months), profile.distinct) == (5, 2, 4)
    assert len(read_profiles(connection, settings, files).features) == 112
