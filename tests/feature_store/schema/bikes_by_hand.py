"""The example's store as somebody may have built it by hand, and what a person decides about it."""

from __future__ import annotations

import re
from pathlib import Path

from feature_store.declarations.store_definition import read_store
from feature_store.declarations.undecided import MARK
from sandbox.server import run_psql
from tests.feature_store.conftest import Database

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/bike_stations"

# What a person says in each field of a header; enough for a test.
_DECIDED = {
    "Grain": "one row per count_id",
    "As-of": "counted_at (t0)",
    "Never sees": "what became of the station later that day",
    "Route": "the same query: it proves that a refresh took all rows.",
}
_LEAKS = [
    (
        "not_as_of = [",
        'not_as_of = [\n  { relation = "city.weather", reason = "Rewritten until the evening." },',
    ),
    (
        "outcome = [",
        "outcome = [\n"
        '  { relation = "city.counts", columns = ["emptied_at"], reason = "When it ran out.", '
        'read_by = { "bikes.outcomes_mv" = ["ran_empty"], '
        '"bikes.empty_days_mv" = ["day", "times"] } },\n'
        '  { relation = "bikes.outcomes_mv", columns = ["*"], reason = "Labels.", read_by = {} },\n'
        '  { relation = "bikes.empty_days_mv", columns = ["*"], reason = "Later.", '
        'read_by = { "bikes.morning_features_mv" = ["empty_14d"] } },',
    ),
]
_RAIN = """
[[exception]]
id = "weather-as-of-refresh"
title = "Rain as of the refresh"
relation = "bikes.morning_features_mv"
reads = "city.weather"
badge = "as of refresh"
says = "as of the refresh"
reason = "The city keeps no forecast of the morning."
taints = { morning_features_clean_mv = ["rain_mm"] }
"""
_LOG = 'entity = "count_id"\nt0 = "bikes.morning_features_clean_mv.counted_at"'


def build_bikes(database: Database) -> None:
    """Build it in an empty database: the city's tables, views, indexes and comments."""
    for script in ("sources.sql", "seed.sql"):
        run_psql(database.conninfo, EXAMPLE / script, ON_ERROR_STOP="1")
    database.run("CREATE SCHEMA bikes")
    for relation in read_store(EXAMPLE).relations:
        database.run(relation.file.create.text.replace("WITH NO DATA", ""))
        database.run(*(index.text for index in relation.file.indexes.values()))
        database.run(*(comment.text for comment in relation.file.comments))


def decide(folder: Path) -> None:
    """Decide, in the folder that `init` wrote, what a person who knows the bikes would decide."""
    for path in folder.rglob("*.sql"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(_decided(line) for line in lines))
    rules = folder / "leak_rules.toml"
    text = re.sub(f'"{MARK}.*"', '"One row per station and morning."', rules.read_text())
    for old, new in _LEAKS:
        assert old in text, old
        text = text.replace(old, new, 1)
    rules.write_text(text[: text.index('\n[[as_of]]\nrelation = "city.weather"')])
    with (folder / "exceptions.toml").open("a") as exceptions:
        exceptions.write(_RAIN)
    for path in (folder / "contracts").glob("*.toml"):
        text = re.sub(f'"{MARK}.*"', '"clip_at_counted_at"', path.read_text())
        if path.stem == "morning_features_clean_mv":
            text = text.replace("features = [", f"{_LOG}\nfeatures = [", 1)
        path.write_text(text)


def _decided(line: str) -> str:
    field = line.removeprefix("-- ").partition(":")[0]
    return line.partition(MARK)[0] + _DECIDED[field] + "\n" if MARK in line else line
