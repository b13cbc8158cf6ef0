"""A cable that can be pulled: three network namespaces of Linux, with a router in the middle.

This machine's own network is not touched, and nothing is left over: a namespace goes with its
last user. A pulled cable drops every packet and tells nobody, like a dead switch, a NAT that has
forgotten a connection, or a machine that is paused.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

Done = TypeVar("Done")


class Machine:
    """A network of its own. Work on it runs in threads of its own, two at a time."""

    def __init__(self) -> None:
        # A namespace belongs to a thread: the thread's sockets and programs are in it.
        self.namespace = -1
        self._threads = ThreadPoolExecutor(max_workers=2, initializer=self._enter)
        self.sh("ip link set lo up")

    def run(self, work: Callable[[], Done]) -> Done:
        """Run a function on this machine, and wait for it."""
        return self._threads.submit(work).result()

    def sh(self, command: str) -> None:
        """Run a program on this machine."""
        self.run(lambda: subprocess.run(command.split(), check=True, capture_output=True))

    @property
    def path(self) -> str:
        """The file of its namespace, for `enter` in another process."""
        return f"/proc/{os.getpid()}/fd/{self.namespace}"

    def close(self) -> None:
        self._threads.shutdown()
        os.close(self.namespace)

    def _enter(self) -> None:
        if self.namespace < 0:
            _call("unshare", _NEW_NETWORK)
            self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        else:
            _call("setns", self.namespace, _NEW_NETWORK)


class Network:
    """A server's machine and a client's, with a router between them."""

    server_address = "10.0.1.2"

    def __init__(self) -> None:
        self.server, self._router, self.client = Machine(), Machine(), Machine()
        for number, machine in ((1, self.server), (2, self.client)):
            self._router.sh(
                f"ip link add eth{number} type veth peer name eth0 netns {machine.path}"
            )
            self._router.sh(f"ip address add 10.0.{number}.1/24 dev eth{number}")
            self._router.sh(f"ip link set eth{number} up")
            machine.sh(f"ip address add 10.0.{number}.2/24 dev eth0")
            machine.sh("ip link set eth0 up")
            machine.sh(f"ip route add default via 10.0.{number}.1")
        self.plug()

    def pull(self) -> None:
        """Let no packet arrive from now on, in either direction, without telling anybody."""
        self._router.run(lambda: _FORWARDING.write_text("0"))

    def plug(self) -> None:
        self._router.run(lambda: _FORWARDING.write_text("1"))

    def close(self) -> None:
        for machine in (self.server, self._router, self.client):
            machine.close()


def enter(namespace: str) -> None:
    """Bring this thread, and what it starts, into a machine's network.

    Args:
        namespace: the path of its file.
    """
    descriptor = os.open(namespace, os.O_RDONLY)
    _call("setns", descriptor, _NEW_NETWORK)
    os.close(descriptor)


def why_no_networks() -> str | None:
    """Why this machine cannot make networks of its own; None if it can."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return "networks of one's own need Linux, root and iproute2's ip"
    if subprocess.run(["unshare", "--net", "true"], check=False).returncode != 0:
        return "this machine does not let root make networks of its own"
    return None


def need_networks() -> None:
    """Skip the test where this machine cannot make networks of its own."""
    if reason := why_no_networks():
        pytest.skip(reason)


def _call(name: str, *given: int) -> None:
    """Call a function of the C library, which Python has only from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*given) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
