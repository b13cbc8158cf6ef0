"""The store's lease: two runs never interleave.

One row says who holds the lease. Each change of holder raises its token, the fence: whoever works
under an older token is refused. Only functions of the owner's write the row (``sql/audit``), so
whoever may lock it cannot change it. A refresh keeps the row locked FOR KEY SHARE, in the same
transaction that refreshes. So the lease cannot change hands meanwhile, and a dead worker's lock
ends with its connection. Nobody has to send a heartbeat.

A lease is free if it was released, if its holder's run is over, or if nobody can tell and it has
shown no sign of life for a while. In each case it is free only if no refresh still works under it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self, TypeVar

import psycopg

from feature_store.connection import Connection, one_value, seeing_one_moment
from feature_store.errors import LeaseTaken

# If a sibling task confirms the lease at this moment, the first statement of a REPEATABLE READ
# transaction fails, before any work. That takes a few milliseconds, so a few tries are enough.
_TRIES_TO_BEGIN = 20

_Done = TypeVar("_Done")

STOPPED = "The run was stopped, or the machine of its last task died."
"""Why a run failed that was over without a verdict: all that is known."""


class _Run(Protocol):
    """A run as Airflow or a mail knows it."""

    @property
    def dag_id(self) -> str: ...

    @property
    def run_id(self) -> str: ...


@dataclass(frozen=True)
class RunKey:
    """Which run of which DAG: who may hold the lease."""

    dag_id: str
    run_id: str

    @classmethod
    def of(cls, run: _Run) -> Self:
        """The key of a run."""
        return cls(run.dag_id, run.run_id)

    def __str__(self) -> str:
        return f"{self.dag_id}, run {self.run_id}"


@dataclass(frozen=True)
class Lease:
    """A lease that was taken.

    Attributes:
        holder: who has it.
        token: its fence.
    """

    holder: RunKey
    token: int


# Whether a holder's run is over: True, False, or None if nobody can tell.
IsOver = Callable[[RunKey], bool | None]


def confirm_lease(connection: Connection, holder: RunKey) -> Lease | None:
    """Record that a holder is alive; None if it does not have the lease."""
    token = one_value(
        connection,
        "SELECT feature_store_audit.confirm_lease(%s, %s)",
        (holder.dag_id, holder.run_id),
    )
    return None if token is None else Lease(holder, token)


def take_lease(connection: Connection, holder: RunKey, is_over: IsOver, grace: timedelta) -> Lease:
    """Take the lease, or confirm that this holder has it.

    If the last holder's run left no verdict, it has stopped, and its record is closed.

    Args:
        connection: a session in autocommit mode.
        holder: who asks.
        is_over: tells whether another holder's run is over.
        grace: how long a holder may be silent if nobody can tell whether its run is over.

    Raises:
        LeaseTaken: another holder has it.
    """
    if confirmed := confirm_lease(connection, holder):
        return confirmed
    with connection.transaction():
        free = lock_free_lease(connection, is_over, grace)
        taken = one_value(
            connection,
            "SELECT feature_store_audit.take_lease(%s, %s, %s)",
            (holder.dag_id, holder.run_id, free.token),
        )
        if free.left_by:
            _close(connection, free.left_by)
    assert taken is not None  # it raises where the token is another one
    return Lease(holder, taken)


def _close(connection: Connection, holder: RunKey) -> None:
    """Close the record of a run that is over and has no verdict."""
    connection.execute(
        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, problem) "
        "SELECT r.dag_id, r.run_id, %s FROM feature_store_audit.run AS r "
        "WHERE r.dag_id = %s AND r.run_id = %s AND r.verdict IS NULL",
        (STOPPED, holder.dag_id, holder.run_id),
    )


@dataclass(frozen=True)
class FreeLease:
    """A lease that nobody has, locked.

    Attributes:
        token: its fence.
        left_by: the holder whose run is over but did not release it; None if it was released.
    """

    token: int
    left_by: RunKey | None


def lock_free_lease(connection: Connection, is_over: IsOver, grace: timedelta) -> FreeLease:
    """Lock the lease for the rest of the transaction, if nobody has it.

    Raises:
        LeaseTaken: somebody has it.
    """
    try:
        row = connection.execute(
            "SELECT token, dag_id, run_id, taken_at, seen_at, "
            # A time in the future: the server's clock was ahead. That is no sign of life.
            "seen_at NOT BETWEEN clock_timestamp() - %s AND clock_timestamp() + %s AS silent "
            "FROM feature_store_audit.lease FOR UPDATE NOWAIT",
            (grace, grace),
        ).fetchone()
    except psycopg.errors.LockNotAvailable:
        raise LeaseTaken("Another run is working on the store at this moment.") from None
    if row is None:
        raise RuntimeError("feature_store_audit.lease has no row; apply puts one there")
    token, dag_id, run_id, taken_at, seen_at, silent = row
    if dag_id is None:
        return FreeLease(token, None)
    holder = RunKey(dag_id, run_id)
    over = is_over(holder)
    if over or (over is None and silent):
        return FreeLease(token, holder)
    step = "Wait for that run to end, or stop it."
    if over is None:
        step += (
            " If it has ended already, without a verdict, its lease is free once it has been "
            f"silent for {grace.total_seconds():.0f} seconds (FEATURE_STORE_LEASE_GRACE). It was "
            f"last seen at {seen_at:%Y-%m-%d %H:%M:%S %Z}."
        )
    raise LeaseTaken(
        f"The store's lease belongs to {holder}, since {taken_at:%Y-%m-%d %H:%M:%S %Z}.",
        next_step=step,
    )


def hold_lease(connection: Connection, lease: Lease) -> None:
    """Keep the lease from changing hands until the current transaction ends.

    Raises:
        LeaseTaken: it has changed hands since it was taken.
    """
    row = connection.execute(
        "SELECT 1 FROM feature_store_audit.lease WHERE token = %s AND run_id = %s FOR KEY SHARE",
        (lease.token, lease.holder.run_id),
    ).fetchone()
    if row is None:
        raise LeaseTaken(f"{lease.holder} has lost the lease to another run.")


def under_lease(
    connection: Connection,
    lease: Lease,
    work: Callable[[], _Done],
    first: Callable[[], object] = lambda: None,
) -> _Done:
    """Work in one transaction that sees a single moment and keeps the lease until its end.

    Args:
        connection: a session in autocommit mode.
        lease: to hold.
        work: what to do; its result is returned after the commit.
        first: what to do before the snapshot is taken, such as waiting for a lock.

    Raises:
        LeaseTaken: the lease has changed hands.
    """
    with seeing_one_moment(connection):
        for attempt in range(_TRIES_TO_BEGIN):
            with connection.transaction():
                first()
                try:
                    hold_lease(connection, lease)
                except psycopg.errors.SerializationFailure:
                    if attempt == _TRIES_TO_BEGIN - 1:
                        raise
                    raise psycopg.Rollback from None
                return work()
    raise AssertionError("unreachable: the last attempt returns or raises")


def release_lease(connection: Connection, holder: RunKey) -> bool:
    """Release the lease. False if it was not this holder's."""
    given: bool = one_value(
        connection,
        "SELECT feature_store_audit.release_lease(%s, %s)",
        (holder.dag_id, holder.run_id),
    )
    return given
