"""What a person does to a running Airflow, through its REST API."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feature_store.declarations.store_profile import read_profile
from sandbox.home import ROOT


class AirflowApi:
    """A running Airflow.

    Attributes:
        dag_id: the DAG of the store.
    """

    def __init__(
        self,
        address: str,
        explain: Callable[[], str],
        account: tuple[str, str] | None = None,
        include_dir: Path = ROOT / "include",
    ) -> None:
        """Prepare the calls; nothing is sent yet.

        Args:
            address: such as ``http://localhost:8080``.
            explain: gives details if something does not happen, such as the ends of its logs.
            account: name and password; None if everybody is an administrator.
            include_dir: the store's folder.
        """
        self.dag_id = read_profile(include_dir).dag_id
        self._address = address
        self._explain = explain
        self._account = account
        self._token: str | None = None

    def trigger(self, run_id: str, logical_date: str | None = None, **conf: Any) -> None:
        """Start a manual run of the DAG."""
        run = {"dag_run_id": run_id, "logical_date": logical_date, "conf": conf}
        self.call("POST", f"dags/{self.dag_id}/dagRuns", run)

    def runs(self) -> dict[str, str]:
        """The states of all runs."""
        found = self.call("GET", f"dags/{self.dag_id}/dagRuns?limit=100")["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def wait_for_run(self, run_id: str, seconds: int = 1200) -> str:
        """Wait for a run's end; its state.

        Raises:
            TimeoutError: it has not ended.
        """

        def ended() -> bool:
            return self.runs().get(run_id) in ("success", "failed")

        wait_until(ended, seconds, self._explain, between_looks=2)
        return self.runs()[run_id]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API and return its answer.

        Raises:
            RuntimeError: it refused, and said why.
        """
        self._token = self._token or self.token()
        request = urllib.request.Request(  # noqa: S310  # our own
            f"{self._address}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read().decode()
            raise RuntimeError(f"{method} {path}: {error.code} {told}") from error

    def token(self) -> str:
        """Log in.

        Raises:
            urllib.error.HTTPError: the account or the password is wrong.
        """
        body = None
        if self._account:
            name, password = self._account
            body = json.dumps({"username": name, "password": password}).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self._address}/auth/token", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            token: str = json.load(answer)["access_token"]
        return token


def wait_until(
    happened: Callable[[], bool],
    seconds: int,
    explain: Callable[[], str],
    between_looks: float = 0.3,
) -> None:
    """Check again and again until something has happened.

    Args:
        happened: looks at another process.
        seconds: a bound that only a machine much slower than usual, or a fault, reaches.
        explain: what to say then.
        between_looks: seconds to wait. A look through the API costs a tenth of a second of work.

    Raises:
        TimeoutError: it has not within that time; with the explanation.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"It did not happen within {seconds} s.\n{explain()}")
        time.sleep(between_looks)
