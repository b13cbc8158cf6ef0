"""Mail servers as they are in the field: slow in each answer, or silent before the last one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

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
