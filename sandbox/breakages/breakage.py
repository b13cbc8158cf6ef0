"""A breakage: the harm, when it is done, and the expected result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from sandbox.sample.options import SampleOptions

GATE = "assert_contract"
DEVICES = SampleOptions(listings=300, days=20)
"""The sample for most breakages."""


@dataclass(frozen=True)
class Scene:
    """A run about to be harmed.

    Attributes:
        connection: the breakage's own session, as superuser, in autocommit mode.
        conninfo: of the database.
        stop_server: stops the server for real; of a server of the breakage's own only.
        afterwards: closed when the run is over: what a harm leaves running or locked.
    """

    connection: Connection[Any]
    conninfo: str
    stop_server: Callable[[], None]
    afterwards: ExitStack


Harm = Callable[[Scene], None]


@dataclass(frozen=True)
class Expected:
    """The expected result of a run.

    Attributes:
        failed: the tasks that fail, the verdict's own among them; none: the run passes.
        subject: of its one mail, without the day, or its beginning and …; None: no mail.
        broken: the critical expectations that are not met, as ``suite/expectation``.
        verdict: in the audit tables; None: there is none.
        certified: whether ``require_certified`` lets readers read.
        report: whether a report was written.
        mail_says: words of the mail's text.
        mail_hides: words that must not be in its HTML or in the report.
        log_says: words of the one error line of the mail in the log.
        tries: how often tasks were tried, if that matters.
        holds: a query that must be true of the database afterwards.
    """

    failed: tuple[str, ...] = ()
    subject: str | None = None
    broken: tuple[str, ...] = ()
    verdict: str | None = "failed"
    certified: bool = False
    report: bool = True
    mail_says: tuple[str, ...] = ()
    mail_hides: tuple[str, ...] = ()
    log_says: str | None = None
    tries: tuple[tuple[str, int], ...] = ()
    holds: str = "SELECT true"


PASSES = Expected(verdict="passed", certified=True)


@dataclass(frozen=True)
class Breakage:
    """One way to break a store.

    Attributes:
        name: short, for the command line.
        title: what is broken, in words.
        expected: the expected result.
        before: harm done before the run.
        during: harm done by one more task of the run.
        after: the task after which that one runs, and before all that follows it; None: after all
            layers.
        before_suite: the extra task runs before this suite only, and after the others.
        marked: a task that is marked successful instead of being run.
        edit: edits of a copy of ``include``.
        rebuilt: the store is applied from that copy and has had no good run yet.
        sample: the data.
        own_server: it runs on a server of its own.
        mail_server: whether there is one.
    """

    name: str
    title: str
    expected: Expected
    before: Harm | None = None
    during: Harm | None = None
    after: str | None = None
    before_suite: str | None = None
    marked: str | None = None
    edit: Callable[[Path], None] | None = None
    rebuilt: bool = False
    sample: SampleOptions = DEVICES
    own_server: bool = False
    mail_server: bool = True
