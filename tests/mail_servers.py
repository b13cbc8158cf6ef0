"""Mail servers as they are in the field: slow, silent before the last answer, or busy for now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.mailbox import Mailbox


class SlowMailbox(Mailbox):
    """It waits before each answer, and after so many answers it falls silent.

    It accepts a mail that has come as a whole, even if it no longer says so.

    Attributes:
        silent: whether it has fallen silent.
    """

    def __init__(self, folder: Path, pause: float = 0, answers: int | None = None) -> None:
        super().__init__(folder)
        self.pause, self.answers, self.silent = pause, answers, False
        self._controller = _Slow(self, self._controller.handler)


class _Slow(Controller):
    def __init__(self, mailbox: SlowMailbox, handler: object) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=mailbox.port)
        self._mailbox = mailbox

    def factory(self) -> SMTP:
        return _SlowSMTP(self._mailbox, self.handler)


class _SlowSMTP(SMTP):
    def __init__(self, mailbox: SlowMailbox, handler: object) -> None:
        super().__init__(handler)
        self._mailbox, self._left = mailbox, mailbox.answers

    async def push(self, status: str | bytes) -> None:
        text = status if isinstance(status, str) else status.decode()
        if text[3:4] == " ":  # the last line of an answer
            await asyncio.sleep(self._mailbox.pause)
            if self._left == 0:
                self._mailbox.silent = True
                await asyncio.sleep(3600)
            if self._left:
                self._left -= 1
        await super().push(status)


class BusyMailbox(Mailbox):
    """It refuses some mails for now: their recipients at first, then their text.

    Attributes:
        messages: the ids of all mails whose text came.
    """

    def __init__(self, folder: Path, greylisted: int = 0, unfiltered: int = 0) -> None:
        super().__init__(folder)
        self.greylisted, self.unfiltered = greylisted, unfiltered
        self.messages: list[bytes] = []
        keeper = self._controller.handler
        self._controller = Controller(_Busy(self, keeper), hostname="127.0.0.1", port=self.port)


class _Busy:
    def __init__(self, mailbox: BusyMailbox, keeper: Any) -> None:
        self._mailbox, self._keeper = mailbox, keeper

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._mailbox.greylisted:
            self._mailbox.greylisted -= 1
            return "450 4.7.1 Greylisted, try again later"
        answer: str = await self._keeper.handle_RCPT(server, session, envelope, address, options)
        return answer

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        raw = envelope.content
        assert isinstance(raw, bytes)
        self._mailbox.messages += [x for x in raw.splitlines() if x.startswith(b"Message-ID:")]
        if self._mailbox.unfiltered:
            self._mailbox.unfiltered -= 1
            return "451 4.7.1 The filter is not available, try again later"
        answer: str = await self._keeper.handle_DATA(server, session, envelope)
        return answer
