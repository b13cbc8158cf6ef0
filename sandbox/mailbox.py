"""A mail server for `make run`: it delivers nothing and keeps each mail as a file.

``python -m sandbox.mailbox FOLDER --port 8025`` runs it until it is interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from types import TracebackType

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.port import LOCALHOST, free_port

# It logs each line of a conversation, in the middle of what `make run` says.
logging.getLogger("mail.log").setLevel(logging.WARNING)

_OF_WARNINGS = re.compile(r"-warnings?-(?:is|are)-(?:new|over)-")


class Mailbox:
    """A local SMTP server in a thread of its own; a context manager.

    Attributes:
        folder: where each mail becomes an ``.eml`` file, named by its time and subject.
        port: where it listens, on this machine only.
    """

    def __init__(self, folder: Path, port: int = 0, refuses: Collection[str] = ()) -> None:
        """Prepare it.

        Args:
            folder: made if it is missing.
            port: 0 takes a free one.
            refuses: addresses for which it takes no mail.
        """
        self.folder = folder
        self.port = port or free_port()
        self._controller = Controller(_Keeper(folder, refuses), hostname=LOCALHOST, port=self.port)

    @property
    def airflow_connection(self) -> str:
        """The mailbox as an Airflow connection, in JSON: ``AIRFLOW_CONN_SMTP_DEFAULT``."""
        return json.dumps(
            {
                "conn_type": "smtp",
                "host": LOCALHOST,
                "port": self.port,
                # No TLS within one machine, and no retries if the server is gone.
                "extra": {"disable_ssl": True, "disable_tls": True, "timeout": 5, "retry_limit": 1},
            }
        )

    def mails(self) -> list[Path]:
        """The files of the mails that came, oldest first."""
        return sorted(self.folder.glob("*.eml"))

    def alarms(self) -> list[Path]:
        """The same without mails about warnings that are new or over."""
        return [mail for mail in self.mails() if not _OF_WARNINGS.search(mail.name)]

    def __enter__(self) -> Mailbox:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._controller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()


def mail_settings(mailbox: Mailbox) -> dict[str, str]:
    """The environment variables that send a failed run's mail to a mailbox."""
    return {
        "AIRFLOW_CONN_SMTP_DEFAULT": mailbox.airflow_connection,
        "FEATURE_STORE_MAIL_TO": "you@localhost",
        "FEATURE_STORE_MAIL_FROM": "feature-store@localhost",
    }


class _Keeper:
    def __init__(self, folder: Path, refuses: Collection[str]) -> None:
        self._folder = folder
        self._refuses = refuses

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if address in self._refuses:
            return "550 No such person here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
    ) -> str:
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        subject = message_from_bytes(raw, policy=policy.default)["Subject"] or "no subject"
        # A subject is foreign text, so only its letters and digits become part of a path.
        words = re.sub(r"[^a-z0-9_]+", "-", str(subject).lower()).strip("-")[:80]
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{words}.eml"
        unfinished = path.with_suffix(".part")
        unfinished.touch(mode=0o600)  # it shows rows of the sources
        unfinished.write_bytes(raw)
        unfinished.rename(path)
        return "250 Kept"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.mailbox", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8025)
    options = parser.parse_args(arguments)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the thread starts, which inherits it
    with Mailbox(options.folder, options.port) as mailbox:
        print(f"Mails to {LOCALHOST}:{mailbox.port} are kept in {mailbox.folder}.", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
