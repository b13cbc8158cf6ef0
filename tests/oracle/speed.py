"""D4 and E-speed: how fast comparable phones sold in the 90 days before a listing's t0."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Any

from tests.oracle.arithmetic import day_of, median, running_sum
from tests.oracle.base import SoldDuration
from tests.oracle.enriched import Enriched
from tests.oracle.rows import as_dict

_WINDOW_DAYS = 90
_HALF_LIFE_DAYS = 90
_BUCKET_EDGES = (0.80, 0.90, 1.00, 1.10, 1.20, 1.40)
_STORAGE_CLASSES = ((900, 1024), (500, 512), (250, 256), (120, 128))
SPEED_COLUMNS = (
    "speed_fast7_anchor",
    "speed_fast24_anchor",
    "speed_slow21_anchor",
    "speed_median_hours_ptv",
    "speed_n_eff_ptv",
)

Cohort = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class SpeedAnchor:
    """D4: one cohort as known on the morning of one day."""

    anchor_day: date
    generation: int
    sbucket: int
    ptv_bucket: int
    sum_w: float
    speed_fast7_anchor: float
    speed_fast24_anchor: float
    speed_slow21_anchor: float
    speed_median_hours_ptv: float
    speed_n_eff_ptv: float
    min_sold_day_used: date
    max_sold_day_used: date


@dataclass(frozen=True, kw_only=True)
class WithSpeed(Enriched):
    """E-speed: E-clean with the anchor of its own cohort and day."""

    speed_fast7_anchor: float | None
    speed_fast24_anchor: float | None
    speed_slow21_anchor: float | None
    speed_median_hours_ptv: float | None
    speed_n_eff_ptv: float | None


@dataclass(frozen=True)
class Sale:
    """One comparable sale: its day and how many hours it took."""

    sold_day: date
    hours: float


def storage_bucket(storage_gb: int) -> int:
    """The storage class that a size, perhaps misread, belongs to; small ones stay themselves."""
    for least, bucket in _STORAGE_CLASSES:
        if storage_gb >= least:
            return bucket
    return storage_gb


def ptv_bucket(ptv: float | None) -> int | None:
    """1..7 for a price-to-value ratio in 0.50..2.50 (both inclusive), else NULL."""
    if ptv is None or not 0.50 <= ptv <= 2.50:
        return None
    return 1 + bisect_right(_BUCKET_EDGES, ptv)


def cohort_of(row: Enriched) -> Cohort | None:
    """The cohort that a listing is compared with, by what it said at t0."""
    bucket = ptv_bucket(row.ptv_final)
    if row.generation is None or row.storage_gb is None or bucket is None:
        return None
    return (row.generation, storage_bucket(row.storage_gb), bucket)


def _anchor(day: date, cohort: Cohort, sales: Sequence[Sale]) -> SpeedAnchor:
    ordered = sorted(sales, key=lambda sale: (sale.sold_day, sale.hours))
    weighted = [
        (math.pow(0.5, (day - sale.sold_day).days / _HALF_LIFE_DAYS), sale.hours)
        for sale in ordered
    ]
    total = running_sum(w for w, _ in weighted)
    median_hours = median(hours for _, hours in weighted)
    assert median_hours is not None
    return SpeedAnchor(
        anchor_day=day,
        generation=cohort[0],
        sbucket=cohort[1],
        ptv_bucket=cohort[2],
        sum_w=total,
        speed_fast7_anchor=running_sum(w for w, hours in weighted if hours <= 168) / total,
        speed_fast24_anchor=running_sum(w for w, hours in weighted if hours <= 24) / total,
        speed_slow21_anchor=running_sum(w for w, hours in weighted if hours > 504) / total,
        speed_median_hours_ptv=median_hours,
        speed_n_eff_ptv=total * total / running_sum(w * w for w, _ in weighted),
        min_sold_day_used=ordered[0].sold_day,
        max_sold_day_used=ordered[-1].sold_day,
    )


def speed_anchors(
    durations: Sequence[SoldDuration], enriched: Sequence[Enriched], zone: tzinfo
) -> list[SpeedAnchor]:
    """D4, one row per t0 day and cohort that had a comparable sale in the 90 days before."""
    by_id = {row.listing_id: row for row in enriched}
    days = {day_of(row.edited_date, zone) for row in enriched}
    result = []
    for day in sorted(day for day in days if day is not None):
        cohorts: dict[Cohort, list[Sale]] = {}
        for sale in durations:
            known = by_id.get(sale.listing_id)
            cohort = None if known is None else cohort_of(known)
            if cohort and day - timedelta(days=_WINDOW_DAYS) <= sale.sold_day < day:
                hours = float(sale.duration_hours)
                cohorts.setdefault(cohort, []).append(Sale(sale.sold_day, hours))
        result += [_anchor(day, cohort, sales) for cohort, sales in cohorts.items()]
    return result


def with_speed(
    clean: Sequence[Enriched], anchors: Sequence[SpeedAnchor], zone: tzinfo
) -> list[WithSpeed]:
    """E-speed, one row per row of E-clean."""
    known = {(a.anchor_day, a.generation, a.sbucket, a.ptv_bucket): a for a in anchors}
    result = []
    for row in clean:
        day, cohort = day_of(row.edited_date, zone), cohort_of(row)
        anchor = None if day is None or cohort is None else known.get((day, *cohort))
        values: dict[str, Any] = as_dict(row)
        for name in SPEED_COLUMNS:
            values[name] = None if anchor is None else getattr(anchor, name)
        result.append(WithSpeed(**values))
    return result
