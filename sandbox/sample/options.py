"""How large the sample is, which days it covers, and which of the possible samples it is."""

from dataclasses import dataclass
from datetime import date
from typing import TypeVar

_Ordered = TypeVar("_Ordered", int, date)


@dataclass(frozen=True)
class SampleOptions:
    """The four numbers that determine every row of a sample.

    Attributes:
        listings: distinct listing ids. 2,000 to 1,000,000 is the range in which the documented
            rates hold; smaller samples are allowed for tests.
        days: calendar days (UTC) over which the listings appear, the last one included.
        last_day: the last of these days. Nothing in the sample happens later.
        seed: picks one of 2**32 samples.

    Raises:
        ValueError: an option is out of its range; names the option, its value and the range.
    """

    listings: int = 10_000
    days: int = 365
    last_day: date = date(2026, 6, 30)
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        _require("listings", self.listings, 1, 1_000_000)
        _require("days", self.days, 1, 3650)
        _require("last_day", self.last_day, date(2015, 1, 1), date(2099, 12, 31))
        _require("seed", self.seed, 0, 2**32 - 1)

    @property
    def first_day(self) -> date:
        """The first day on which a listing can appear."""
        return date.fromordinal(self.last_day.toordinal() - self.days + 1)


def _require(option: str, value: _Ordered, low: _Ordered, high: _Ordered) -> None:
    if not low <= value <= high:
        raise ValueError(f"{option} must be from {low} to {high}, got {value}")
