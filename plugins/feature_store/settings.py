"""The package's settings, read from the environment in this one place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, getaddresses
from pathlib import Path
from zoneinfo import ZoneInfo

from feature_store.errors import BadInput
from feature_store.text_format import fault

PREFIX = "FEATURE_STORE_"

# Loose on purpose, to keep out only what would break a header or a link; see `_is_reached`.
_ADDRESS = r"[^\s@,<>]+@[^\s@,<>]+"
_PERSON = rf"(?:{_ADDRESS}|[^\r\n@,<>]*<{_ADDRESS}>)"
_NAME = re.compile(r"\S+")
_NAME_OR_NONE = re.compile(r"\S*")
_SENDER = re.compile(rf"(?:{_PERSON})?")
_ADDRESSES = re.compile(rf"(?:[ ]*{_PERSON}[ ]*(?:,[ ]*{_PERSON}[ ]*)*)?")
_MEMORY = re.compile(r"[1-9]\d{0,3}MB")
_WEB = re.compile(r"(?:https?://[^\s\"'<>]+)?")

# Longer than any sensible value, and short enough for patterns to read.
_MOST_CHARACTERS = 4_096

# PostgreSQL keeps a timeout as milliseconds in 32 bits: 24 days. The other spans of time have the
# same limit.
_MOST_SECONDS = (2**31 - 1) // 1000
# If a scheduler lags by more than this, it counts a waiting task as lost.
_LEAST_POLL = 10
_BOUNDS = {
    "lock_timeout": (1, _MOST_SECONDS),
    "statement_timeout": (0, _MOST_SECONDS),
    "task_timeout": (0, _MOST_SECONDS),
    "connect_timeout": (2, 3_600),
    # Linux keeps the seconds between two probes of a silent connection in 15 bits.
    "silence_timeout": (3, 3_600),
    "idle_transaction_timeout": (0, _MOST_SECONDS),
    "mail_timeout": (1, 600),
    "lease_grace": (1, _MOST_SECONDS),
    "lease_poll": (_LEAST_POLL, _MOST_SECONDS),
    "settling_days": (0, 36_500),
    "skew_days": (1, 36_500),
    "keep_days": (0, 36_500),
    "keep_report_days": (0, 36_500),
}
LEAST_KEEP_DAYS = 30
"""Younger records are never deleted, whatever is asked: ``feature_store_audit.forget``."""


@dataclass(frozen=True)
class Settings:
    """The settings. Each field is read from ``FEATURE_STORE_<FIELD>``, in capitals.

    Attributes:
        conn_id: the Airflow connection to the database that holds the store.
        zone: the time zone in which ``timestamptz::date`` is taken, everywhere and always. Days,
            features and the embargo depend on it, so changing it changes history.
        schedule: when the nightly run starts, as cron.
        schedule_zone: the time zone of ``schedule``.
        lock_timeout: seconds that a refresh waits for a lock. Readers who arrive while a blocking
            refresh waits queue behind it, at most for this long.
        statement_timeout: seconds that one statement may take; 0 is no limit.
        task_timeout: seconds that one try of a task may take; 0 is no limit.
        connect_timeout: seconds to wait for each of the server's addresses, unless the Airflow
            connection sets it.
        silence_timeout: seconds of silence after which client and server give each other up; the
            locks of a client whose cable was pulled are free after that.
        idle_transaction_timeout: seconds that a client with locks may be idle before the server
            ends it; 0 is no limit.
        work_mem: memory that one sort or hash of a session may use before it goes to disk, as
            PostgreSQL writes it; a session takes a few of these at once, and as much again for the
            new rows of a concurrent refresh.
        lease_grace: seconds without a sign of life after which a lease whose holder nobody can
            ask about counts as abandoned.
        lease_poll: seconds between two looks at a lease that another run holds.
        settling_days: days before a run's as-of day in which changes still arrive.
            What changes on an older day is reviewed by a person.
        skew_days: days of t0, up to a run's as-of day, whose served values are compared with the
            store's values of today.
        include_dir: the folder with ``sql`` and ``contracts``.
        smtp_conn_id: the Airflow connection to the mail server.
        mail_to: who gets the mail of a failed run, addresses separated by commas; empty: no mail.
        mail_from: its sender; empty: ``from_email`` of the mail server's connection, or its login.
        mail_timeout: seconds in all for sending one mail, or one notice.
        notify_conn_id: the Airflow connection to a chat or a webhook that also gets the mail's
            first lines: of type ``http``, ``slackwebhook`` or ``apprise``; empty: none.
        links_base: where people find Airflow, such as ``https://airflow.example``, for the links of
            a mail; empty: Airflow's own ``[api] base_url``.
        runbook: where people read docs/operations.md, for a link of each mail; empty: no link.
        report_dir: the folder in which each run leaves its report, made if it is missing.
        keep_days: days after which a run's audit rows are deleted, except what is still needed (see
            `retention`); 0 keeps all.
        keep_report_days: days after which a report's file is deleted; 0 keeps all. While its audit
            rows are there it can be written again.
    """

    conn_id: str = "feature_store"
    zone: str = "UTC"
    schedule: str = "20 3 * * *"
    schedule_zone: str = "Europe/Oslo"
    lock_timeout: int = 10
    statement_timeout: int = 7200
    task_timeout: int = 10800
    connect_timeout: int = 10
    silence_timeout: int = 15
    idle_transaction_timeout: int = 300
    work_mem: str = "64MB"
    lease_grace: int = 900
    lease_poll: int = 30
    settling_days: int = 30
    skew_days: int = 90
    include_dir: Path = field(
        default_factory=lambda: Path(__file__).resolve().parents[2] / "include"
    )
    smtp_conn_id: str = "smtp_default"
    mail_to: str = ""
    mail_from: str = ""
    mail_timeout: int = 120
    notify_conn_id: str = ""
    links_base: str = ""
    runbook: str = ""
    report_dir: Path = field(default_factory=lambda: _airflow_home() / "feature_store_reports")
    keep_days: int = 750
    keep_report_days: int = 90

    def __post_init__(self) -> None:
        for name in ("zone", "schedule_zone"):
            _require_zone(name, getattr(self, name))
        _require_cron("schedule", self.schedule)
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise BadInput(
                    f"{PREFIX}{name.upper()} is {getattr(self, name)}; expected {least} to {most}."
                )
        if 0 < self.keep_days < LEAST_KEEP_DAYS:
            raise BadInput(
                f"{PREFIX}KEEP_DAYS is {self.keep_days}; expected 0 (keep forever) or at least "
                f"{LEAST_KEEP_DAYS}: the database deletes nothing younger."
            )
        _require("work_mem", self.work_mem, _MEMORY, "a size such as 64MB, 1MB to 9999MB")
        _require("conn_id", self.conn_id, _NAME, "a connection's name")
        _require("smtp_conn_id", self.smtp_conn_id, _NAME, "a connection's name")
        _require("notify_conn_id", self.notify_conn_id, _NAME_OR_NONE, "a connection's name")
        _require("mail_to", self.mail_to, _ADDRESSES, "addresses separated by commas")
        _require("mail_from", self.mail_from, _SENDER, "one address")
        _require_reached("mail_to", self.mail_to)
        _require_reached("mail_from", self.mail_from)
        _require("links_base", self.links_base, _WEB, "an address that begins with https://")
        _require("runbook", self.runbook, _WEB, "an address that begins with https://")


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
    if complaint := fault(text, most=_MOST_CHARACTERS):
        raise BadInput(f"{variable} {complaint}.")
    if type_name == "int":
        try:
            return int(text)
        except ValueError:
            raise BadInput(f"{variable} is {text!r}; expected a whole number.") from None
    if type_name == "Path":
        if not text.strip():
            raise BadInput(f"{variable} is {text!r}; expected a folder.")
        return Path(text)
    return text


def _airflow_home() -> Path:
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow"))
    # As in Airflow, the home of a user that does not exist is no error, and stays as written.
    with suppress(RuntimeError):
        home = home.expanduser()
    return home


def _require(name: str, value: str, pattern: re.Pattern[str], expected: str) -> None:
    if not pattern.fullmatch(value):
        raise BadInput(f"{PREFIX}{name.upper()} is {value!r}; expected {expected}.")


def _require_reached(name: str, people: str) -> None:
    for person in filter(None, people.split(",")):
        if not _is_reached(person.strip()):
            raise BadInput(
                f"{PREFIX}{name.upper()} is {people!r}; no mail reaches {person.strip()!r}.",
                next_step='Write an address of ASCII characters, or a name and <address>. Put "" '
                "around a name with brackets or signs.",
            )


def _is_reached(person: str) -> bool:
    """Whether a mail's header takes a text for the one address that a person sees in it."""
    address = person.rpartition("<")[2].removesuffix(">")
    pairs = getaddresses([person])
    if not address.isascii() or [found for _, found in pairs] != [address]:
        return False
    for text in (person, formataddr(pairs[0])):
        message = EmailMessage(SMTP)
        message["To"] = text
        if [found.addr_spec for found in message["To"].addresses] != [address]:
            return False
    return True


def _require_cron(name: str, expression: str) -> None:
    # What Airflow itself reads it with; only where settings are read, because it is slow to import.
    from croniter import croniter
    from croniter.croniter import CroniterBadDateError

    try:
        croniter(expression, datetime.now(UTC)).get_next()
    except CroniterBadDateError:
        problem = "; there is no such day"
    except ValueError:
        problem = "; expected a cron schedule"
    else:
        return
    raise BadInput(
        f"{PREFIX}{name.upper()} is {expression!r}{problem}.",
        next_step="Give five fields such as '20 3 * * *': minute, hour, day, month, weekday.",
    )


def _require_zone(name: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise BadInput(
            f"{PREFIX}{name.upper()} is {zone!r}; expected a time zone's name.",
            next_step="Use a name such as UTC or Europe/Oslo.",
        ) from None
