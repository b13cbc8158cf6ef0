"""What a run of the sandbox came to, for a person to read."""

from __future__ import annotations

import re
from datetime import datetime

import psycopg

from feature_store.status import columns
from sandbox.home import ENVIRONMENT, LOG, ROOT

_LAST_RUN = """
SELECT r.relation, r.mode, r.row_count, r.bytes, r.seconds
FROM feature_store_audit.refresh AS r
WHERE r.started_at >= %s
ORDER BY r.refresh_id
"""


def print_summary(conninfo: str, started: datetime | None, *, succeeded: bool) -> None:
    """Print each refresh since a moment, the contracts and where to look next."""
    print()
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(_LAST_RUN, (started,)).fetchall()
        contracts = connection.execute(
            "SELECT name, n_features, features_hash FROM ml.feature_set "
            "UNION ALL SELECT name, n_features, features_hash FROM feature_store.feature_set"
        ).fetchall()
    table = [
        (relation, mode, f"{count:,}", f"{size / 1e6:,.1f}", f"{seconds:.2f}")
        for relation, mode, count, size, seconds in rows
    ]
    print(columns([("refreshed", "mode", "rows", "MB", "seconds"), *table], right=(2, 3, 4)))
    print()
    if not succeeded:
        print("The run FAILED.")
        print(_last_error())
        print(f"The whole log: {LOG.relative_to(ROOT)}")
        return
    for name, n_features, digest in contracts:
        print(f"Contract OK: {name}, {n_features} features, {digest}")
    print()
    print("The store is fresh. Look next:")
    print(f"  . {ENVIRONMENT.relative_to(ROOT)}; bin/feature-store status")
    print(f'  psql "{conninfo}"   then: TABLE ml.tom_features_v1_enriched_ai_clean_mv LIMIT 5;')
    print("  make airflow   the same DAG in Airflow's own pages;  make stop   stops PostgreSQL")


def _last_error() -> str:
    """The lines of the log that say what failed."""
    lines = LOG.read_text(errors="replace").splitlines()
    told = [line for line in lines if re.search(r"Exception|Error|Failed", line)]
    return "\n".join(told[-5:])
