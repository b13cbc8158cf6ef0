"""What a run of the sandbox came to, for a person to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from feature_store.database.session import pin
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_profile import read_profile
from feature_store.reporting.page.now import read_now
from feature_store.reporting.run.facts import RunRecord
from feature_store.reporting.run.read import last_run, read_record
from feature_store.reporting.store.store_files import read_files
from feature_store.settings import Settings
from feature_store.text_format import plural, text_table
from sandbox.home import ENVIRONMENT, LOG, OWNER_ENVIRONMENT, REPORTS, ROOT

_LAST_RUN = """
SELECT r.relation, r.mode, r.row_count, r.bytes, r.seconds
FROM feature_store_audit.refresh AS r
WHERE r.started_at >= %s
ORDER BY r.refresh_id
"""
_CONTRACTS = "SELECT name, n_features, features_hash FROM {} ORDER BY set_id"


def print_summary(
    conninfo: str,
    settings: Settings,
    started: datetime | None,
    mails: Sequence[Path],
    *,
    succeeded: bool,
) -> None:
    """Print each refresh since a moment, what was found, the contracts, and where to look next.

    Args:
        conninfo: the store.
        settings: by which the store's page judges it.
        started: the moment.
        mails: that the run sent.
        succeeded: whether it did.
    """
    print()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "make run")  # the store's zone, whatever the server's is
        rows = connection.execute(_LAST_RUN, (started,)).fetchall()
        run = last_run(connection)
        told = read_record(connection, *run) if run else None
        verdict = read_now(connection, settings, read_files(settings.include_dir)).verdict
        registry = sql.Identifier(read_profile(settings.include_dir).registry, "feature_set")
        contracts = connection.execute(sql.SQL(_CONTRACTS).format(registry)).fetchall()
    table = [
        (relation, mode, f"{count:,}", f"{size / 1e6:,.1f}", f"{seconds:.2f}")
        for relation, mode, count, size, seconds in rows
    ]
    if table:
        print(text_table([("refreshed", "mode", "rows", "MB", "seconds"), *table], right=(2, 3, 4)))
    print()
    if told:
        print(summary_line(told))
        for warning in told.warnings:
            print(f"Warning: {warning.relation}: expected {warning.expected}; {warning.found}")
        print()
    if not succeeded:
        print("The run FAILED.")
        print(_last_error())
        for mail in mails:
            print(f"The mail that went out:  {mail.relative_to(ROOT)}")
        _print_report()
        print(f"The whole log:           {LOG.relative_to(ROOT)}")
        return
    for name, n_features, digest in contracts:
        print(f"Contract OK: {name}, {n_features} features, {digest}")
    print()
    print(f"{verdict.words} Look next:")
    _print_report()
    print(f"  . {ENVIRONMENT.relative_to(ROOT)}; bin/feature-store status")
    owner = OWNER_ENVIRONMENT.relative_to(ROOT)
    print(f"  . {owner}   for the commands of the store's owner: apply, stamp-proofs, …")
    for mail in mails:
        print(f"  {mail.relative_to(ROOT)}   the mail that it sent")
    read = read_feature_sets(settings.include_dir)[-1].relation
    print(f'  psql "{conninfo}"   then: TABLE {read} LIMIT 5;')
    print("  make airflow   the same DAG in Airflow's own pages;  make stop   stops PostgreSQL")


def summary_line(run: RunRecord) -> str:
    """What a run came to, in one line."""
    last = [history[-1] for history in run.refreshes]
    refreshed, reused = sum(one.refreshed for one in last), sum(bool(one.reuse) for one in last)
    took = run.run.verdict_at - run.run.prepared_at if run.run.verdict_at else None
    return (
        f"{plural(run.met, 'expectation')} met, {plural(len(run.warnings), 'warning')}, "
        f"{len(run.broken)} broken, {len(run.errors)} not checked; "
        f"{plural(refreshed, 'relation')} refreshed, {reused} found unchanged"
        + (f"; {plural(round(took.total_seconds()), 'second')}." if took else ".")
    )


def _print_report() -> None:
    reports = sorted(REPORTS.glob("*.html"), key=lambda path: path.stat().st_mtime)
    if reports:
        print(f"  {reports[-1].relative_to(ROOT)}   the run's report; open it in a browser")


def _last_error() -> str:
    """The lines of the log that say what failed."""
    lines = LOG.read_text(errors="replace").splitlines()
    told = [line for line in lines if re.search(r"Exception|Error|Failed", line)]
    return "\n".join(told[-5:])
