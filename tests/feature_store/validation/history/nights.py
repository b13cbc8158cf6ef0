"""A store on which nights pass: load what the sources hold by then, refresh, judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from feature_store.audit.lease import Lease, RunKey, release_lease, take_lease
from feature_store.audit.runs import open_run
from feature_store.database.session import pin
from feature_store.declarations.history_series import read_history
from feature_store.declarations.store_definition import Store
from feature_store.refresh.refresh import refresh
from feature_store.schema.apply import apply
from feature_store.settings import Settings
from feature_store.validation.history.acceptance import accept_backfill_day
from feature_store.validation.history.findings import FindingKind, HistoryFinding, find
from feature_store.validation.history.fingerprints import LayerRows
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.history.mailed_reviews import unmailed_reviews
from feature_store.validation.history.result import HistoryResult

TABLES = {
    "listings": '"iPhone".iphone_listings',
    "ai": '"iPhone".iphone_ai_enrich',
    "images": "feature_store.device_image_features_unified_v1",
}
Row = dict[str, Any]


class Nights:
    """One store, its sources, and the runs that have been."""

    def __init__(self, conninfo: str, files: Store, settings: Settings) -> None:
        self.connection = psycopg.connect(conninfo, autocommit=True)
        self.settings = settings
        self.listings: list[Row] = []
        self.ai: list[Row] = []
        self.images: list[Row] = []
        self.runs = 0
        self.use(files, settings)

    def use(self, files: Store, settings: Settings) -> None:
        """Work with these files from now on."""
        pin(self.connection, settings, "tests")
        self.settings = settings
        self.files = files
        self.layers = {x.name: x for x in read_history(settings.include_dir, files)}

    def apply(self) -> None:
        apply(self.connection, self.files, self.settings)

    def load(self) -> None:
        for kind, table in TABLES.items():
            self.connection.execute(f"TRUNCATE {table}".encode())
            rows: list[Row] = getattr(self, kind)
            columns = sorted({column for row in rows for column in row})
            if not columns:
                continue
            names = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string()
            with (
                self.connection.cursor() as cursor,
                cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy,
            ):
                for row in rows:
                    copy.write_row([row.get(c) for c in columns])

    def lease(self, run_id: str) -> Lease:
        return take_lease(self.connection, RunKey("tests", run_id), lambda _: True, timedelta(0))

    def backfill(self, day: date) -> tuple[HistoryFinding, ...]:
        """Accept as a backfill's run over one day does; returns what it accepted."""
        lease = self.lease(f"backfill of {day}")
        open_run(self.connection, lease.holder, "backfill", day, self.settings.zone)
        accepted = accept_backfill_day(self.connection, lease)
        release_lease(self.connection, lease.holder)
        return accepted

    def refresh(self, lease: Lease, only: Iterable[str] | None = None) -> None:
        for relation in self.files.refreshed:
            if only is None or str(relation.name) in only:
                refresh(self.connection, relation, lease, self.settings.zone)

    def judge(self, lease: Lease, as_of: date) -> HistoryResult:
        layers = list(self.layers.values())
        return judge_history(self.connection, layers, lease, as_of, self.settings)

    def night(self, as_of: date) -> HistoryResult:
        """Run a night, from the sources to the judgement. Runs are called ``night 1`` and so on."""
        self.runs += 1
        lease = self.lease(f"night {self.runs}")
        self.load()
        self.refresh(lease)
        verdict = self.judge(lease, as_of)
        release_lease(self.connection, lease.holder)
        return verdict

    def exceptions(self) -> tuple[HistoryFinding, ...]:
        """The days whose columns of declared exceptions changed, as the last night recorded."""
        last = (FindingKind.EXCEPTION.value, f"night {self.runs}")
        return find(self.connection, "kind = %s AND run_id = %s", *last)

    def settled_before(self) -> date:
        """The day before which input days are reviewed, as the last check recorded."""
        ((day,),) = self.rows(
            "SELECT settled_before FROM feature_store_audit.history_judgement_log "
            "ORDER BY event_id DESC LIMIT 1"
        )
        return day

    def mail_what_is_pending(self) -> None:
        """Record the mail of all pending reviews, as if it had come."""
        self.connection.execute(
            "INSERT INTO feature_store_audit.history_mail_log SELECT unnest(%s::bigint[])",
            (list(unmailed_reviews(self.connection).sightings),),
        )

    def fingerprints(self, until: date) -> dict[tuple[str, date], Any]:
        """The fingerprints of every layer, for days up to this one."""
        found = {}
        for name, layer in self.layers.items():
            rows = LayerRows(self.connection, layer)
            days = [day for day in rows.sums() if day <= until]
            found.update({(name, day): seen for day, seen in rows.fingerprints(days).items()})
        return found

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def find(self, listing_id: int) -> Row:
        """The source row of a listing."""
        return next(row for row in self.listings if row["listing_id"] == listing_id)

    def kept(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that the audit schema keeps of history, except the row versions that it saw last."""
        tables = ("day", "row", "change", "finding", "layer", "judgement")
        return {
            t: sorted(
                self.rows(
                    f"SELECT (to_jsonb(h) - 'seen')::text FROM feature_store_audit.history_{t} AS h"
                )
            )
            for t in tables
        }


def named(findings: Sequence[HistoryFinding]) -> set[str]:
    """Findings in short: layer, day, how many rows came, went and changed, and in which columns."""
    result = set()
    for f in findings:
        d = f.difference
        counts = f"+{d.came} -{d.went} ~{d.changed}"
        result.add(" ".join([f.layer, str(f.day), counts, *d.columns]))
    return result


def phone(listing_id: int, t0: str, **other: Any) -> Row:
    """An iPhone 15 of 128 GB at 10000, first seen at noon of this day of 2026 (``03-01``)."""
    return {
        "listing_id": listing_id,
        "generation": 15,
        "storage_gb": 128,
        "model": "iPhone 15",
        "price": 10000,
        "edited_date": noon(t0),
        **other,
    }


def noon(day: str) -> datetime:
    return datetime.fromisoformat(f"2026-{day}T12:00+00:00")


def quiet(verdict: HistoryResult) -> bool:
    """Whether there is nothing to mail."""
    return not (verdict.leaks or verdict.reviews or verdict.definition_changes)
