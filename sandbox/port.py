"""Ports of this machine."""

from __future__ import annotations

import socket

LOCALHOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a program can listen on a port of this machine."""
    with socket.socket() as probe:
        # As servers do: a port is free when its last listener is gone, even if connections remain.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of this machine that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port
