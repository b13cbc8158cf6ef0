"""Two scores of one simple model: trained on what was served, and on history as it was rebuilt.

Both are judged on what was served, for that is what a model is given. The model is a ridge
regression of "sold within a week" on the numbers of the contract; the score is the area under its
ROC curve: the chance that it ranks a listing that sold above one that did not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HORIZON_HOURS = 168
_PENALTY = 30.0
_DRAWS = 400


@dataclass(frozen=True)
class Scores:
    """What came of it.

    Attributes:
        trained_on: rows.
        judged_on: rows, of later days.
        served: the score of the model that was trained on served rows.
        rebuilt: of the one trained on the same listings as history tells them today.
        gain: served less rebuilt.
        give_or_take: the standard error of the gain, by drawing the judged rows anew.
    """

    trained_on: int
    judged_on: int
    served: float
    rebuilt: float
    gain: float
    give_or_take: float


def compare(
    served: Floats, rebuilt: Floats, sold: npt.NDArray[np.bool_], is_late: npt.NDArray[np.bool_]
) -> Scores:
    """Train twice, judge twice.

    Args:
        served: the features of each listing as they were served; NaN where there is none.
        rebuilt: the same listings as they are told today.
        sold: which of them sold within the horizon.
        is_late: the listings to judge by; the others are trained on.
    """
    truth = sold[is_late]
    ranks = [
        _predict(_fit(rows[~is_late], sold[~is_late]), served[is_late])
        for rows in (served, rebuilt)
    ]
    scores = [_area(rank, truth) for rank in ranks]
    draw = np.random.default_rng(1)
    gains = []
    for _ in range(_DRAWS):
        some = draw.integers(0, len(truth), len(truth))
        gains.append(_area(ranks[0][some], truth[some]) - _area(ranks[1][some], truth[some]))
    return Scores(
        trained_on=int((~is_late).sum()),
        judged_on=int(is_late.sum()),
        served=scores[0],
        rebuilt=scores[1],
        gain=scores[0] - scores[1],
        give_or_take=float(np.std(gains)),
    )


def _fit(rows: Floats, sold: npt.NDArray[np.bool_]) -> tuple[Floats, ...]:
    with np.errstate(all="ignore"):
        middle = np.nan_to_num(np.nanmedian(_finite(rows), axis=0))
    filled = _filled(rows, middle)
    mean, spread = filled.mean(axis=0), filled.std(axis=0)
    spread[spread == 0] = 1
    x = (filled - mean) / spread
    y = sold.astype(float) - sold.mean()
    weights = np.linalg.solve(x.T @ x + _PENALTY * np.eye(x.shape[1]), x.T @ y)
    return middle, mean, spread, weights


def _predict(model: tuple[Floats, ...], rows: Floats) -> Floats:
    middle, mean, spread, weights = model
    found: Floats = ((_filled(rows, middle) - mean) / spread) @ weights
    return found


def _filled(rows: Floats, middle: Floats) -> Floats:
    """Missing values as the median, and beside each feature whether it was missing."""
    rows = _finite(rows)
    missing = np.isnan(rows)
    return np.hstack([np.where(missing, middle, rows), missing.astype(float)])


def _finite(rows: Floats) -> Floats:
    return np.where(np.isfinite(rows), rows, np.nan)


def _area(rank: Floats, truth: npt.NDArray[np.bool_]) -> float:
    order: Any = np.argsort(np.argsort(rank, kind="stable"), kind="stable") + 1
    yes, no = int(truth.sum()), int((~truth).sum())
    return float((order[truth].sum() - yes * (yes + 1) / 2) / (yes * no))
