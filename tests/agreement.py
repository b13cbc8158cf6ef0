"""What Airflow, the record, the report, the page, the mail and the readers say of a run."""

from __future__ import annotations

from collections.abc import Iterable
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import psycopg

from feature_store.connection import Connection
from feature_store.reporting.page.runs import latest_runs


def told(
    run_id: str,
    state: str,
    connection: Connection,
    mails: Iterable[Path],
    reports: Path,
) -> dict[str, bool | None]:
    """Ask all six whether a run has passed.

    The page's answer is None where it does not show a run that has a record.

    Args:
        run_id: the id of one of the latest runs.
        state: what Airflow says of the run.
        connection: a session of somebody who may read everything.
        mails: the mails that came.
        reports: the folder of the reports.
    """
    record = connection.execute(
        "SELECT verdict FROM feature_store_audit.run WHERE run_id = %s", (run_id,)
    ).fetchone()
    report = [text for p in reports.glob("*.html") if run_id in (text := p.read_text())]
    page = [line for line in latest_runs(connection, 5) if line.run_id == run_id]
    try:
        asked = connection.execute(
            "SELECT run_id FROM ml.require_certified('tom_features_v1', '1 hour')"
        ).fetchone()
    except psycopg.errors.RaiseException:
        asked = None
    return {
        "airflow": state == "success",
        "record": record == ("passed",),
        "report": any("<h1>Passed" in text for text in report),
        "page": page[0].verdict == "passed" if page else None if record else False,
        "mail": not failure_mails(run_id, mails),
        "readers": asked == (run_id,),
    }


def failure_mails(run_id: str, mails: Iterable[Path]) -> list[str]:
    """The texts of the mails that say that a run failed.

    A run that passed may send one, too: of a warning, or of days to review. And other mails name a
    run as the one that certified the store.
    """
    read = [message_from_bytes(path.read_bytes(), policy=default) for path in mails]
    bodies = [mail.get_body(("plain",)) for mail in read]
    texts = [body.get_content() for body in bodies if body]
    of_run = [text for text in texts if f", run {run_id}, as of" in text]
    return [text for text in of_run if "The run passed." not in text]
