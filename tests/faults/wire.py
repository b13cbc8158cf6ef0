"""The wire between tasks and server: it counts what passes, and breaks where it is told to."""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.pooler import Stream

# Each of these ends a request: a simple query, or the end of a few messages.
_STATEMENTS = (b"Q", b"S")
_COMMIT = re.compile(rb"^\s*COMMIT\b", re.IGNORECASE)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closed at once, and the other side is told so


@dataclass
class Breach:
    """Where the wire breaks, once.

    Attributes:
        act: what happens there; it is given the connection.
        nth: the statement, or the commit, counted from when this was armed.
        commits: whether only commits are counted.
        answered: it happens after the server has done the work, instead of before it hears of it.
        happened: whether it has happened.
    """

    act: Callable[[Cut], None]
    nth: int = 1
    commits: bool = False
    answered: bool = False
    happened: bool = False
    _begun: bool = False
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        self._begun = True

    def happen(self, cut: Cut, message: bytes) -> None:
        """Do it, to a client that has just sent this message."""
        try:
            if self.answered:
                cut.deaf = True
                cut.server.sendall(message)
                cut.answered.wait(10)
            self.act(cut)
            self.happened = True
        finally:
            self._over.set()
        if not self.answered:
            cut.server.sendall(message)

    def wait(self) -> bool:
        """Whether it has happened; waits if it is happening now."""
        if self._begun:
            self._over.wait(60)
        return self.happened


class Cut:
    """A client's connection to the server, which can be cut."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.deaf = False  # whether the server's answers are dropped
        self.answered = threading.Event()

    def reset(self) -> None:
        """Reset the connection: each side loses the other."""
        for side in (self.client, self.server):
            with suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        for side in (self.client, self.server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Wire:
    """A listener before a server that trusts its socket; a context manager.

    Attributes:
        conninfo: how to connect through it.
        statements: how many have passed.
        commits: how many of them were commits.
    """

    def __init__(self, conninfo: str) -> None:
        to = conninfo_to_dict(conninfo)
        self._socket = f"{to['host']}/.s.PGSQL.{to['port']}"
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.wire = self
        port = self._listener.server_address[1]
        self.conninfo = make_conninfo(
            conninfo, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"
        )
        self.statements = self.commits = 0
        self._breach: Breach | None = None
        self._lock = threading.Lock()

    def arm(self, breach: Breach | None) -> None:
        with self._lock:
            self._breach = breach

    def __enter__(self) -> Wire:
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def serve(self, client: socket.socket) -> None:
        """Pass on what one client and its server say, until either goes."""
        server = socket.socket(socket.AF_UNIX)
        cut = Cut(client, server)
        try:
            server.connect(self._socket)
            stream = Stream(client)
            (size,) = struct.unpack("!i", head := stream.exactly(4))
            server.sendall(head + stream.exactly(size - 4))
            threading.Thread(target=_answer, args=(cut,), daemon=True).start()
            while True:
                kind, message = stream.read()
                due = self._due(kind, message)
                if due is None:
                    server.sendall(message)
                else:
                    due.happen(cut, message)
        except (EOFError, OSError, ValueError):
            pass  # one of them has gone
        finally:
            cut.close()

    def _due(self, kind: bytes, message: bytes) -> Breach | None:
        if kind not in _STATEMENTS:
            return None
        commit = kind == b"Q" and bool(_COMMIT.match(message[5:]))
        with self._lock:
            self.statements += 1
            self.commits += commit
            breach = self._breach
            if breach is None or (breach.commits and not commit):
                return None
            breach.nth -= 1
            if breach.nth > 0:
                return None
            self._breach = None
            breach.begin()
            return breach


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    wire: Wire


class _Handler(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        self.server.wire.serve(self.request)


def _answer(cut: Cut) -> None:
    with suppress(OSError):
        while data := cut.server.recv(65536):
            if cut.deaf:
                cut.answered.set()
            else:
                cut.client.sendall(data)
    cut.close()
