"""The second store's breakages: a different kind of harm each, done as to the first store."""

from __future__ import annotations

from datetime import date

from sandbox.breakages.breakage import GATE, Breakage, Expected
from sandbox.breakages.harm import edit, into_view, sql, together
from sandbox.data import seeded_data
from sandbox.home import ROOT

BIKES = seeded_data(ROOT / "examples" / "bike_stations", days=40, last_day=date(2026, 6, 30))

_E = "bikes.morning_features_mv"
_E_CLEAN = "bikes.morning_features_clean_mv"
_B = "bikes.outcomes_mv"
_LOAD = "bikes.morning_load_v1"
_KEYS = "expectations.keys"
_FLAGS = "expectations.flags"
_PROOFS = "expectations.proofs"

OF_BIKES = (
    Breakage(
        "bikes-duplicate-count",
        "a count_id is twice in a read layer",
        Expected(
            failed=(GATE, _KEYS, _PROOFS),
            broken=("keys/key_morning_features_clean_mv_uq", f"proofs/{_LOAD}"),
            subject=f"keys broken, 1 row of {_E_CLEAN} and 1 more",
        ),
        during=together(
            sql("DROP INDEX bikes.morning_features_clean_mv_uq"),
            into_view(_E_CLEAN, f"INSERT INTO {_E_CLEAN} SELECT * FROM {_E_CLEAN} LIMIT 1"),
        ),
        data=BIKES,
    ),
    Breakage(
        "bikes-own-day-in-the-anchor",
        "E's SQL counts what the station did on the count's own day: the embargo is broken",
        Expected(
            failed=(GATE, _PROOFS),
            broken=(f"proofs/{_E}",),
            subject=f"proofs broken, 78 rows of {_E} (A's counts with how often…",
            mail_says=("empty_14d",),
        ),
        edit=edit(f"sql/read/{_E}.sql", "AND m.counted_at::date - 1\n", "AND m.counted_at::date\n"),
        rebuilt=True,
        data=BIKES,
    ),
    Breakage(
        "bikes-flagged-count-forced-in",
        "a count that the city has flagged is in E-clean",
        Expected(
            failed=(GATE, _FLAGS, _KEYS),
            broken=(
                "flags/no_spam_in_morning_features_clean_mv",
                "keys/rows_of_morning_features_clean_mv",
            ),
            subject=f"flags broken, 1 row of {_E_CLEAN} and 1 more",
            mail_says=(f"no row that carried a spam token when {_E_CLEAN} was refreshed",),
        ),
        during=into_view(
            _E_CLEAN,
            f"INSERT INTO {_E_CLEAN} SELECT e.* FROM {_E} AS e "
            "INNER JOIN feature_store_audit.spam_seen AS s ON e.count_id = s.key LIMIT 1",
        ),
        after="read.morning_features_clean_mv",
        data=BIKES,
    ),
    Breakage(
        "bikes-other-specification",
        "B's specification says something else than B's SQL, and was stamped so",
        Expected(
            failed=(GATE, _PROOFS),
            broken=(f"proofs/{_B}",),
            subject=f"proofs broken, 80 rows of {_B} (each count of A, and whether…",
            mail_says=("ran_empty",),
        ),
        edit=edit(
            f"sql/specifications/{_B}.sql", "count(c.emptied_at) > 0", "count(c.emptied_at) > 1"
        ),
        data=BIKES,
    ),
    Breakage(
        "bikes-feature-gone",
        "a column that a contract names is gone from E-clean when the checks come",
        Expected(
            failed=(GATE, _PROOFS),
            subject='proofs could not be checked (column "empty_14d" does not exist)',
        ),
        during=sql(f"ALTER MATERIALIZED VIEW {_E_CLEAN} RENAME COLUMN empty_14d TO gone"),
        data=BIKES,
    ),
    Breakage(
        "bikes-source-shrank",
        "the city's table has lost half of its rows since the last good night",
        Expected(
            failed=(GATE, "prepare"),
            subject="prepare failed: city.counts has 160 rows, 50% fewer than the 320 of run…",
            mail_says=("accept_shrink",),
            certified=True,  # nothing was changed
        ),
        before=sql("DELETE FROM city.counts WHERE station_id % 2 = 0"),
        data=BIKES,
    ),
)
