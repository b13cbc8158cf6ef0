"""The result of a run, and how it differs from the expected one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from feature_store.connection import Connection
from feature_store.declarations.feature_sets import read_feature_sets
from sandbox.breakages.breakage import Breakage, Expected

if TYPE_CHECKING:
    from sandbox.breakages.one_run import Ended


@dataclass(frozen=True)
class RunResult:
    """The result of a run; the fields are those of `breakage.Expected`.

    Attributes:
        state: the run's, in Airflow.
        mails: that came, oldest first.
        reports: that were written.
        refused: what ``require_certified`` said; None: readers may read.
        tries: of every task.
        holds: whether what must hold of the database does.
        mail_errors: the lines that the mail left in the log as errors.
    """

    state: str
    failed: tuple[str, ...]
    broken: tuple[str, ...]
    verdict: str | None
    mails: tuple[EmailMessage, ...]
    reports: tuple[Path, ...]
    refused: str | None
    tries: dict[str, int]
    holds: bool
    mail_errors: tuple[str, ...]

    @property
    def subject(self) -> str | None:
        """Of the first mail, without the day."""
        if not self.mails:
            return None
        return str(self.mails[0]["Subject"]).partition(": ")[2]


def read_result(
    ended: Ended,
    conninfo: str,
    mails: Sequence[Path],
    reports: Path,
    breakage: Breakage,
) -> RunResult:
    """Gather what a run left behind."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        verdict = connection.execute(
            "SELECT verdict FROM feature_store_audit.run WHERE run_id = %s", (ended.run_id,)
        ).fetchone()
        broken = connection.execute(
            "SELECT suite || '/' || expectation FROM feature_store_audit.expectation "
            "WHERE run_id = %s AND severity = 'critical' AND outcome <> 'met' ORDER BY 1",
            (ended.run_id,),
        ).fetchall()
        held = connection.execute(breakage.expected.holds.encode()).fetchone()
        refused = _refused(connection, breakage.data.include_dir)
    return RunResult(
        state=ended.state,
        failed=tuple(sorted(task for task, state in ended.tasks.items() if state == "failed")),
        broken=tuple(name for (name,) in broken),
        verdict=verdict[0] if verdict else None,
        mails=tuple(message_from_bytes(m.read_bytes(), policy=policy.default) for m in mails),
        reports=tuple(sorted(reports.glob("*.html"))),
        refused=refused,
        tries=ended.tries,
        holds=bool(held and held[0]),
        mail_errors=tuple(ended.mail_errors),
    )


def _refused(connection: Connection, include_dir: Path) -> str | None:
    """What is said to readers of the first feature set that they may not read."""
    for feature_set in read_feature_sets(include_dir):
        require = sql.SQL("SELECT {}(%s, '1 hour')").format(
            sql.Identifier(feature_set.schema, "require_certified")
        )
        try:
            connection.execute(require, (feature_set.name,))
        except psycopg.errors.RaiseException as error:
            return error.diag.message_primary
    return None


def differences(expected: Expected, result: RunResult) -> list[str]:
    """How a result differs from what was expected, in words; empty if it does not."""
    told = [
        ("state", "failed" if expected.failed else "success", result.state),
        ("failed tasks", expected.failed, result.failed),
        ("broken expectations", expected.broken, result.broken),
        ("recorded verdict", expected.verdict, result.verdict),
        ("mails", 0 if expected.subject is None else 1, len(result.mails)),
        ("subject", expected.subject, _begins(expected.subject, result.subject)),
        ("certified", expected.certified, result.refused is None),
        ("what must hold", True, result.holds),
        ("report", expected.report, bool(result.reports)),
        *((f"tries of {task}", n, result.tries.get(task)) for task, n in expected.tries),
    ]
    found = [f"{what}: expected {want}, got {got}" for what, want, got in told if want != got]
    return [*found, *_words(expected, result), *_log(expected, result)]


def _begins(expected: str | None, subject: str | None) -> str | None:
    """The expected subject, if only its beginning is given and matches."""
    if expected and subject and expected.endswith("…") and subject.startswith(expected[:-1]):
        return expected
    return subject


def _words(expected: Expected, result: RunResult) -> Iterator[str]:
    for mail in result.mails:
        text, html = (body(mail, kind) for kind in ("plain", "html"))
        for words in expected.mail_says:
            if words not in text:
                yield f"the mail does not say {words!r}"
        for part in (html, *(path.read_text(encoding="utf-8") for path in result.reports)):
            for words in expected.mail_hides:
                if words in part:
                    yield f"{words!r} is not escaped"
        if "Traceback" in text:
            yield "the mail shows a traceback"


def _log(expected: Expected, result: RunResult) -> Iterator[str]:
    lines = result.mail_errors
    if expected.log_says is None:
        yield from (f"the log says: {line}" for line in lines)
    elif len(lines) != 1 or expected.log_says not in lines[0]:
        yield f"the log: expected one line with {expected.log_says!r}, got {lines}"


def body(mail: EmailMessage, kind: str) -> str:
    """One part of a mail, ``plain`` or ``html``."""
    part = mail.get_body((kind,))
    return "" if part is None else str(part.get_content())
