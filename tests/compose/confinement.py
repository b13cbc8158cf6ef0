"""What `read_only`, `cap_drop` and `no-new-privileges` do, done to a process of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

# In a mount namespace of its own: the first folder is read-only, those after it are writable.
_SCRIPT = """
set -e
readable=$1; shift
mount --bind "$readable" "$readable"
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done
shift
mount -o remount,bind,ro "$readable"
cd "$PWD"
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


def confined(command: list[str], readable: Path, writable: Iterable[Path]) -> list[str]:
    """A command without privileges, which can write to nothing in a folder but the paths named."""
    folders = [str(path) for path in writable]
    return [
        *("unshare", "--mount", "sh", "-c", _SCRIPT, "confined", str(readable)),
        *(*folders, "--", *command),
    ]


def can_confine(folder: Path) -> bool:
    """Whether this machine can do that: it takes root, or a container with root's rights."""
    try:
        done = subprocess.run(
            confined(["true"], folder, []), capture_output=True, check=False, cwd=folder
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0
