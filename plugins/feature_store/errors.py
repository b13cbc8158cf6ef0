"""Errors that tell a person what is wrong and what to do next.

There are two families, never mixed. A `StoreError` is ours and holds the text for a person. An
infrastructure error (lost connection, lock timeout) is psycopg's own, unless we know more:
`CannotConnect`, `CheckInterrupted`. `passes_on_its_own` says of any error whether another try can
help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg

from feature_store.text_format import bounded, bullets

# SQLSTATE classes and codes after which the same statement may well succeed: connection lost (08),
# server out of resources (53), shutting down or starting up (57P), serialization and deadlock (40),
# lock timeout (55P03), a session that the server ended because it was idle (25P03).
_TRANSIENT_CLASSES = ("08", "40", "53")
_TRANSIENT_CODES = ("57P01", "57P02", "57P03", "55P03", "25P03")
REMEDIES = {
    "57014": "The statement was cancelled or took longer than FEATURE_STORE_STATEMENT_TIMEOUT. "
    "Find out what slowed it down, or raise the timeout; then clear this task.",
    "42501": "Grant the missing privilege to the role of the Airflow connection, then clear this "
    "task.",
}
"""What to do where any statement of a task failed so, by SQLSTATE."""


class StoreError(Exception):
    """What went wrong, told to a person. Most must be fixed (see `passes_on_its_own`).

    A message is cut to a readable length, whatever it quotes (`text_format.bounded`).

    Attributes:
        problem: what is wrong and where, observed against expected; with its items, one per line.
        head: the same without the items.
        items: its parts as a list, such as every missing privilege.
        about: the relations to refresh again.
        readers: what readers of the store still get.
        next_step: the command that fixes it, or what to do.
    """

    def __init__(
        self,
        problem: str,
        *,
        items: Sequence[str] = (),
        about: Sequence[str] = (),
        readers: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self._say(problem, items, about, readers, next_step)

    def reword(self, change: Callable[[str], str]) -> None:
        """Change what is told, and nothing else, such as the commands of one store of several."""
        readers, step = self.readers, self.next_step
        self._say(
            change(self.head),
            [change(item) for item in self.items],
            self.about,
            readers and change(readers),
            step and change(step),
        )

    def _say(
        self,
        problem: str,
        items: Sequence[str],
        about: Sequence[str],
        readers: str | None,
        next_step: str | None,
    ) -> None:
        self.head = bounded(problem)
        self.items = tuple(items)
        self.about = tuple(about)
        self.problem = bounded(f"{problem}\n{bullets(self.items)}" if items else problem)
        self.readers = readers and bounded(readers)
        self.next_step = next_step and bounded(next_step)
        lines = [self.problem]
        if self.readers:
            lines.append(f"Readers: {self.readers}")
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        self.args = ("\n".join(lines),)


class BadInput(StoreError):
    """A file, setting or argument that cannot be used."""


class BadParameter(BadInput):
    """A run was given what it cannot use. Clearing it does not help: it keeps what it was given."""


class NotReady(StoreError):
    """The database is not in the state that was asked for. Nothing was changed."""


class LogBroken(NotReady):
    """The rows are proven, but a feature log is not as it was sealed, or cannot take them."""


class RunOver(NotReady):
    """The task's run ended before the task began to work."""


class DuplicateKey(StoreError):
    """A refresh met two rows with one key."""


class RowsLost(StoreError):
    """Far fewer rows than were certified, and nobody has said that this is intended."""


class ContractBroken(StoreError):
    """A feature set is not what its contract says."""


class ProofsChanged(StoreError):
    """The proofs are not those that a person has stamped."""


class LeakFound(StoreError):
    """A feature can see what was not known at t0, or nobody has proven that it cannot."""


class ExpectationsBroken(StoreError):
    """The data breaks an expectation."""


class HistoryLeak(StoreError):
    """An old day of an output changed although nothing that it may depend on did."""


class NotChecked(StoreError):
    """An expectation, or history, could not be checked. Says nothing about the data."""


class Interfered(NotChecked):
    """Somebody else changed the rows during the check. Says nothing about the data."""


class CheckInterrupted(NotChecked):
    """The database went away while expectations were checked. Says nothing about the data."""


class RunFailed(StoreError):
    """Something failed earlier in this run."""


class LeaseTaken(StoreError):
    """Another run or command has the store's lease."""


class CannotConnect(StoreError):
    """The database cannot be reached or refuses the login. Says nothing about the data."""


class ConnectionRefused(CannotConnect):
    """The database answered, and let nobody in: too many connections, no login, starting up."""

    BEGINS = "The database refused the connection: "
    """What its first line begins with; the server's reason follows."""


class IsStandby(CannotConnect):
    """The server answers, and only reads: the primary is another one now."""


def passes_on_its_own(error: BaseException) -> bool:
    """Whether trying again, with nothing fixed, can succeed."""
    if isinstance(error, CannotConnect | CheckInterrupted | LeaseTaken):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        # No answer from the server at all: the connection broke.
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_TRANSIENT_CLASSES) or error.sqlstate in _TRANSIENT_CODES
