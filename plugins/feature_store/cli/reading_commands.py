"""The commands that show the state of the store: for a person, or with ``--json`` for a monitor."""

from __future__ import annotations

import argparse

from feature_store.audit.lease import RunKey
from feature_store.cli.answer import Answer
from feature_store.cli.arguments import folder, offer_json
from feature_store.cli.log_commands import Add, logs_and_exceptions
from feature_store.cli.terminal import Alarm, Heading
from feature_store.connection import Connection
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.store_definition import Store
from feature_store.declarations.suites import read_suites
from feature_store.reporting.freshness import read_freshness, staleness
from feature_store.reporting.history_text import history_rows, history_text
from feature_store.reporting.run.read import latest_run, read_record
from feature_store.reporting.run.summary import summary
from feature_store.reporting.status import (
    as_table,
    certified_last,
    read_status,
    relations_without_file,
)
from feature_store.reporting.status_problem import unwell
from feature_store.schema.audit_migrations import audit_is_current
from feature_store.schema.object_states import has_audit, require_store
from feature_store.schema.planning.plan_words import without_file_words
from feature_store.schema.stamps.proof_stamp import UNSTAMPED, unstamped
from feature_store.settings import Settings
from feature_store.text_format import bullets
from feature_store.validation.history.findings import open_leaks
from feature_store.validation.history.result import leak_of


def add_reading_commands(add: Add) -> None:
    """Add them to the command line."""
    status = add(
        "status", _status, "Show every relation; fail if one is not as its file, or not certified."
    )
    status.add_argument("relations", nargs="*", metavar="RELATION", help="only these")
    report = add("report", _report, "Write a run's report, an HTML file, and print where it is.")
    report.add_argument(
        "--run", dest="run_id", metavar="RUN_ID", help="the run; default: the latest"
    )
    report.add_argument("--dag", metavar="DAG_ID", help="its DAG; default: the latest run's")
    report.add_argument(
        "--to", type=folder, metavar="FOLDER", help="default: FEATURE_STORE_REPORT_DIR"
    )
    history = add(
        "history", _history, "Show old days that changed and wait for a person; fail if one leaks."
    )
    fresh = add("freshness", _freshness, "Fail unless a run has certified the store recently.")
    fresh.add_argument(
        "--max-age", default="30 hours", metavar="INTERVAL", help="default: 30 hours"
    )
    for command in (status, history, fresh):
        offer_json(command)
    offer_json(report, "print the run's summary as JSON and write no file")


def _status(
    connection: Connection, store: Store, settings: Settings, options: argparse.Namespace
) -> Answer:
    wanted = set(options.relations)
    lines = [
        line
        for line in read_status(connection, store, settings.include_dir)
        if not wanted or line.relation in wanted
    ]
    header, rule, *rows = as_table(lines).splitlines()
    told = [
        Heading(header),
        rule,
        *(row if line.is_well else Alarm(row) for line, row in zip(lines, rows, strict=True)),
    ]
    changed: tuple[str, ...] = ()
    if not wanted:
        if left := without_file_words(relations_without_file(connection, store)):
            told += ["", Alarm(left)]
        told.append(f"\nCertified: {certified_last(connection)}")
        changed = unstamped(connection, store, settings.include_dir)
        if changed:
            told += [Alarm(f"\n{UNSTAMPED}:"), bullets(list(changed))]
        told += logs_and_exceptions(connection, settings)
    is_old = has_audit(connection) and not audit_is_current(connection)
    problem = unwell(lines, changed, is_old=is_old)
    return Answer(told, [line.as_row() for line in lines], problem)


def _report(
    connection: Connection, _: Store, settings: Settings, options: argparse.Namespace
) -> Answer:
    dag_id, run_id = latest_run(connection)
    run = RunKey(options.dag or dag_id, options.run_id or run_id)
    if options.json:
        return Answer([], [summary(read_record(connection, run.dag_id, run.run_id))])
    # Imports what renders pages, which no other command needs.
    from feature_store.reporting.report.render import write_report

    exceptions, suites = read_exceptions(settings.include_dir), read_suites(settings.include_dir)
    to = options.to or settings.report_dir
    return Answer([str(write_report(connection, run, to, exceptions, suites))], [])


def _history(
    connection: Connection, store: Store, _: Settings, options: argparse.Namespace
) -> Answer:
    require_store(connection)
    told = [history_text(connection, store.profile.key)]
    # The text has said which they are.
    problem = leak_of(open_leaks(connection), in_full=options.json)
    return Answer(told, history_rows(connection), problem)


def _freshness(
    connection: Connection, store: Store, _: Settings, options: argparse.Namespace
) -> Answer:
    found = read_freshness(connection, options.max_age, store.profile)
    stale = staleness(found, options.max_age)  # which says the same lines
    return Answer([] if stale else [str(one) for one in found], [vars(one) for one in found], stale)
