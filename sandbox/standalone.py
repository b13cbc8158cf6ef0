"""`make airflow`: Airflow itself on the store of the last `make run`, for this machine only.

Everybody who reaches it is an administrator, so nothing of it listens elsewhere, as
``airflow standalone`` would.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.components import Components
from sandbox.home import MAILS, make_home, only_one
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.port import is_free

_PORT = "8080"
_LAST_PORT = 65535


def main() -> int:
    """Start it, wait until it is interrupted or terminated, stop it; return the exit code."""
    asked = os.environ.get("AIRFLOW__API__PORT", _PORT)
    port = int(asked) if asked.isdecimal() and int(asked) <= _LAST_PORT else 0
    if not port or not is_free(port):
        print(f"Error: Port {asked} cannot be listened on; is it in use?", file=sys.stderr)
        print("Next: name another one: AIRFLOW__API__PORT=8081 make airflow", file=sys.stderr)
        return 2
    make_home()
    home = Path(os.environ["AIRFLOW_HOME"])
    try:
        # As make run does: in one database of Airflow's, each would end the other's runs.
        with only_one(home.parent) as lock, Mailbox(home.parent / MAILS.name) as mailbox:
            return _serve(home, mail_settings(mailbox), port=port, lock=lock)
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


def _serve(home: Path, mailing: Mapping[str, str], *, port: int, lock: int) -> int:
    databases = ("AIRFLOW_CONN_FEATURE_STORE", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
    paused = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
    settings = {**{name: os.environ[name] for name in databases}, **paused, **mailing}
    airflow = Components(home, settings, port, [lock])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print(f"Airflow starts; its components' output is in {home}/*.out.", flush=True)
        airflow.start()
        print("A new DAG is paused until you switch it on there.")
        print(f"Mails go to {home.parent / MAILS.name}.")
        print(f"It is at {airflow.address}; Ctrl-C stops it.", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        return 0
    except (RuntimeError, TimeoutError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    finally:
        airflow.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
