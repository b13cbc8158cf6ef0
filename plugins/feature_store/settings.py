"""The package's settings, read from the environment in this one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from zoneinfo import ZoneInfo

from feature_store.errors import BadInput

PREFIX = "FEATURE_STORE_"


@dataclass(frozen=True)
class Settings:
    """What may be set. Each field is read from ``FEATURE_STORE_<FIELD>`` in capitals.

    Attributes:
        conn_id: the Airflow connection to the database that holds the store.
        zone: the time zone in which ``timestamptz::date`` is taken, everywhere and always. Days,
            cohorts and the embargo depend on it, so changing it changes history.
        schedule: when the nightly run starts, as cron.
        schedule_zone: the time zone of ``schedule``.
        lock_timeout: seconds that a refresh waits for a lock. Readers who arrive while a blocking
            refresh waits queue behind it, at most for this long.
        statement_timeout: seconds that one statement may take; 0 is no limit.
        lease_grace: seconds without a sign of life after which a lease whose holder nobody can
            ask about counts as abandoned.
        lease_poll: seconds between two looks at a lease that another run holds.
        include_dir: the folder with ``sql`` and ``contracts``.
    """

    conn_id: str = "feature_store"
    zone: str = "UTC"
    schedule: str = "20 3 * * *"
    schedule_zone: str = "Europe/Oslo"
    lock_timeout: int = 10
    statement_timeout: int = 7200
    lease_grace: int = 900
    lease_poll: int = 30
    include_dir: Path = field(
        default_factory=lambda: Path(__file__).resolve().parents[2] / "include"
    )

    def __post_init__(self) -> None:
        for name in ("zone", "schedule_zone"):
            _require_zone(name, getattr(self, name))
        for name, least in (
            ("lock_timeout", 1),
            ("statement_timeout", 0),
            ("lease_grace", 1),
            ("lease_poll", 1),
        ):
            if getattr(self, name) < least:
                raise BadInput(
                    f"{PREFIX}{name.upper()} is {getattr(self, name)}; expected {least} or more."
                )


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from environment variables.

    Raises:
        BadInput: a variable with our prefix that we do not know, or a value that cannot be used.
    """
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    unknown = sorted(k for k in environment if k.startswith(PREFIX) and k not in known)
    if unknown:
        raise BadInput(
            f"Unknown setting {', '.join(unknown)}.",
            next_step=f"Use one of {', '.join(sorted(known))}.",
        )
    values: dict[str, object] = {}
    for variable, f in known.items():
        if variable in environment:
            values[f.name] = _parse(variable, str(f.type), environment[variable])
    return Settings(**values)  # type: ignore[arg-type]  # the field names and types are its own


def _parse(variable: str, type_name: str, text: str) -> object:
    if type_name == "int":
        try:
            return int(text)
        except ValueError:
            raise BadInput(f"{variable} is {text!r}; expected a whole number.") from None
    if type_name == "Path":
        return Path(text)
    return text


def _require_zone(name: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise BadInput(
            f"{PREFIX}{name.upper()} is {zone!r}; expected a time zone's name.",
            next_step="Give a name such as UTC or Europe/Oslo.",
        ) from None
