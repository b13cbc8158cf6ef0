"""What to measure, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_store.errors import BadInput
from sandbox.sample.options import SampleOptions

DEFAULT_RUNS = 3
DEFAULT_PATIENCE = 120.0
# What a timeout can be: from a millisecond to the most that a server takes for one.
_LEAST_PATIENCE, _MOST_PATIENCE = 0.001, 2_147_483


@dataclass(frozen=True)
class Size:
    """One size to measure.

    Attributes:
        listings: distinct listings of the generated sample.
        runs: how often everything is measured; figures are medians of these.
    """

    listings: int
    runs: int

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise BadInput(f"RUNS is {self.runs}; expected 1 or more.")
        try:
            self.sample  # noqa: B018  # the sample's options check themselves
        except ValueError as error:
            raise BadInput(
                f"A size of {self.listings:,} cannot be measured: {error}.",
                next_step='Name sizes such as SIZES="10000 100000".',
            ) from None

    @property
    def sample(self) -> SampleOptions:
        """The sample: the generator's defaults, at this size."""
        return SampleOptions(listings=self.listings)


@dataclass(frozen=True)
class Options:
    """The options of a command.

    Attributes:
        sizes: ascending, each once.
        out: the folder that gets the results.
        dsn: a libpq connection string of the user's own server; empty: an embedded one.
        reference_up_to: the largest size for the reference, in listings. It is
            quadratic, so larger sizes take too long.
        patience: seconds after which a query of the reference's own is given up; what it took is
            then known to be more.
    """

    sizes: tuple[Size, ...]
    out: Path
    dsn: str = ""
    reference_up_to: int = 100_000
    patience: float = DEFAULT_PATIENCE

    def __post_init__(self) -> None:
        if not _LEAST_PATIENCE <= self.patience <= _MOST_PATIENCE:
            raise BadInput(
                f"PATIENCE is {self.patience:g}; expected seconds, from {_LEAST_PATIENCE} to "
                f"{_MOST_PATIENCE}.",
                next_step="Leave it out for the usual "
                f"{DEFAULT_PATIENCE:g} s, or name another, such as PATIENCE=600.",
            )


def parse_sizes(text: str, runs: int) -> tuple[Size, ...]:
    """Read ``10000 100000 1000000:1``: listings, and behind a colon their own number of runs.

    Raises:
        BadInput: anything else, a size twice, or one that the generator cannot make.
    """
    sizes = []
    for word in text.replace(",", " ").split():
        listings, _, own_runs = word.partition(":")
        try:
            size = Size(int(listings), int(own_runs) if own_runs else runs)
        except ValueError:
            raise BadInput(
                f"{word!r} is not a size; expected a number of listings, or listings:runs.",
                next_step='Name sizes such as SIZES="10000 100000 1000000:1".',
            ) from None
        sizes.append(size)
    if not sizes or len({size.listings for size in sizes}) < len(sizes):
        raise BadInput(
            f"SIZES is {text!r}; expected at least one size, and each only once.",
            next_step='Name sizes such as SIZES="10000 100000".',
        )
    return tuple(sorted(sizes, key=lambda size: size.listings))
