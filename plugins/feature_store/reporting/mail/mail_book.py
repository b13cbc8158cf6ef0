"""Records a mail before and after it is sent: in the store's record, else in Airflow.

While the database is down its record cannot be written. Then Airflow keeps what matters: that the
mail was begun, and that it was sent.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import Error

from feature_store.declarations.dag_outline import VERDICT
from feature_store.reporting.mail.delivery import Delivery, DeliveryState
from feature_store.reporting.mail.mail_record import Mailed, begin, end, mailed

if TYPE_CHECKING:
    from feature_store.audit.lease import RunKey
    from feature_store.connection import Connection
    from feature_store.reporting.mail.channels import Channel

log = logging.getLogger(__name__)

_BEGUN, _SENT = "begun", "sent"


@dataclass(frozen=True)
class About:
    """What a mail tells.

    Attributes:
        of: ``failure``, ``review`` or ``warning``.
        verdict: the verdict that the mail tells; None if none could be recorded.
        sightings: of a review.
        warnings: of a mail about warnings, all that there are.
    """

    of: str
    verdict: int | None
    sightings: tuple[int, ...] = ()
    warnings: tuple[str, ...] | None = None


class Book:
    """The record of one mail.

    Args:
        connection: a session on the record; None if there is none to be had.
        channel: by which it goes.
        about: what it tells.
        mailed: what is known of mails about it.
        ti: the verdict's own task instance, to leave with Airflow what the record cannot take;
            None: the mail is then left to another try.
    """

    def __init__(
        self,
        connection: Connection | None,
        channel: Channel,
        about: About,
        mailed: Mailed,
        ti: Any = None,
    ) -> None:
        self._connection, self.channel = connection, channel
        self._about, self._mailed, self._ti = about, mailed, ti
        self._event: int | None = None

    def begin(self, subject: str) -> bool:
        """Record that the mail is about to be sent. False: it must not be sent."""
        nth = self._mailed.tries + 1
        if self._connection is not None and self._about.verdict is not None:
            try:
                self._event = begin(
                    self._connection,
                    self.channel.kind(self._about.of),
                    self._about.verdict,
                    nth,
                    subject,
                    self._about.sightings,
                    self._about.warnings,
                )
            except Error as error:
                log.warning("The mail could not be recorded: %s", str(error).strip())
            else:
                return self._event is not None
        return self._leave(_BEGUN)

    def end(self, delivery: Delivery) -> None:
        """Record whether it was sent."""
        if self._event is None or self._connection is None:
            if delivery.state is DeliveryState.SENT:
                self._leave(_SENT)
            return
        try:
            end(self._connection, self._event, delivery)
        except Error as error:
            log.warning("Could not record whether the mail was sent: %s", str(error).strip())
            if delivery.state is DeliveryState.SENT:
                self._leave(_SENT)

    def _leave(self, state: str) -> bool:
        if self._ti is None:
            return False
        try:
            self._ti.xcom_push(key=self.channel.mark, value=state)
        except Exception as error:
            log.warning("Could not note in Airflow that the mail is %s: %s", state, error)
        return True


def mailed_of_run(
    connection: Connection, channel: Channel, verdict: int, ti: Any, run: RunKey
) -> Mailed:
    """What the record and Airflow know of the mails about another run's failed verdict."""
    known = mailed(connection, verdict, channel.kind("failure"))
    place = {"task_ids": VERDICT, "dag_id": run.dag_id, "run_id": run.run_id}
    state = ti.xcom_pull(key=channel.mark, **place)
    doubtful = max(known.doubtful, int(state == _BEGUN))
    return Mailed(known.tries, known.told or state == _SENT, doubtful)
