"""A very small pooler: clients of TCP on one side, a server's socket on the other.

Like PgBouncer it greets each client itself. It lends a client a session of the server for one
transaction, or for as long as the client stays. It lends the session that was returned last.
"""

from __future__ import annotations

import itertools
import socket
import socketserver
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_READY, _TERMINATE = b"Z", b"X"
_IDLE = b"I"


class Pooler:
    """A pooler before a server that trusts its socket; a context manager.

    Attributes:
        conninfo: how to connect through it.
        sessions: how many sessions of the server it has opened.
    """

    def __init__(self, conninfo: str, mode: str) -> None:
        """Prepare it.

        Args:
            conninfo: a database by a Unix socket, without a password.
            mode: ``transaction`` or ``session``.
        """
        self._to = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
        self._mode = mode
        self._idle: list[Stream] = []
        self.sessions = 0
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.pooler = self
        port = self._server.server_address[1]
        self.conninfo = make_conninfo(conninfo, host="127.0.0.1", port=port, sslmode="disable")

    def __enter__(self) -> Pooler:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for session in self._idle:
            session.close()

    def serve(self, client: Stream, number: int) -> None:
        """Serve one client until it goes."""
        _read_startup(client)
        session = self._take()
        greeting = session.greeting
        self._idle.append(session)
        key = b"K" + struct.pack("!iii", 12, number, 0)  # of its own, for cancelling
        client.send(greeting + key + b"Z" + struct.pack("!i", 5) + _IDLE)
        held: Stream | None = None
        while True:
            kind, message = client.read()
            if kind == _TERMINATE:
                break
            held = held or self._take()
            held.send(message)
            if kind not in (b"Q", b"S"):  # a query, or the end of a few messages
                continue
            if _pass_answer(held, client) == _IDLE and self._mode == "transaction":
                self._idle.append(held)
                held = None
        if held:
            held.close()

    def _take(self) -> Stream:
        with suppress(IndexError):
            return self._idle.pop()
        self.sessions += 1
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(f"{self._to['host']}/.s.PGSQL.{self._to['port']}")
        session = Stream(raw)
        given = f"user\0{self._to['user']}\0database\0{self._to['dbname']}\0\0".encode()
        session.send(struct.pack("!ii", 8 + len(given), 196608) + given)
        while True:
            kind, message = session.read()
            if kind == _READY:
                return session
            if kind in (b"R", b"S"):  # authentication, and settings for clients
                session.greeting += message


class Stream:
    """Messages of PostgreSQL's protocol over a socket."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._file = raw.makefile("rb")
        self.greeting = b""

    def exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise EOFError
        return data

    def read(self) -> tuple[bytes, bytes]:
        """The kind of the next message, and all of it."""
        head = self.exactly(5)
        return head[:1], head + self.exactly(struct.unpack("!i", head[1:])[0] - 4)

    def send(self, data: bytes) -> None:
        self._raw.sendall(data)

    def close(self) -> None:
        self._file.close()
        self._raw.close()


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    pooler: Pooler


class _Handler(socketserver.BaseRequestHandler):
    _numbers = itertools.count(1)
    server: Any

    def handle(self) -> None:
        with suppress(EOFError, OSError):  # the client has gone
            self.server.pooler.serve(Stream(self.request), next(self._numbers))


def _read_startup(client: Stream) -> None:
    while True:
        (size,) = struct.unpack("!i", client.exactly(4))
        (code,) = struct.unpack("!i", client.exactly(4))
        client.exactly(size - 8)
        if code not in (_SSL_REQUEST, _GSS_REQUEST):
            return
        client.send(b"N")


def _pass_answer(session: Stream, client: Stream) -> bytes:
    """Pass on the whole answer to a query; returns whether the session is in a transaction now."""
    while True:
        kind, message = session.read()
        client.send(message)
        if kind == _READY:
            return message[-1:]
