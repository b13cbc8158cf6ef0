"""`make sixty-nights`: how far does history move from what was served, and what does it cost?

Loads a sample as what will become known, lets the sources come to know it night by night (late
sales, flags, scores, second readings by the AI, pictures), runs every night for real but for
Airflow, and prints the skew by feature and two scores.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psycopg

from feature_store.declarations.feature_sets import logged_sets
from feature_store.errors import StoreError
from feature_store.reporting.served import latest_skew, logged_in_words, skew_in_words
from feature_store.settings import Settings, read_settings
from sandbox.home import POSTGRES, make_home
from sandbox.sample.options import SampleOptions
from sandbox.server import start_server
from sandbox.sixty_nights.nights import Nights, make_store
from sandbox.sixty_nights.scores import HORIZON_HOURS, Scores, compare

_DATABASE = "sixty_nights"
_SET = "tom_features_v1"
_NUMBERS = ("int", "int4", "int8", "numeric", "float8")
# After the last night all that is late arrives: the store as somebody finds it who trains on it.
_LATER = timedelta(15)
_QUERY = Path(__file__).parent / "served_and_rebuilt.sql"
_HORIZON = timedelta(hours=HORIZON_HOURS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do everything; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        sample = SampleOptions(options.listings, options.days, seed=options.seed)
        if not 1 <= options.nights < options.days:
            raise ValueError(f"nights must be from 1 to {options.days - 1}, got {options.nights}")
        logging.getLogger("feature_store").setLevel(logging.ERROR)  # known warnings, every night
        make_home()
        server = start_server(POSTGRES)
        server.drop_database(_DATABASE)
        settings = replace(read_settings(), skew_days=options.nights)
        nights = make_store(server.create_database(_DATABASE), sample, settings)
        _live(nights, sample.last_day, options.nights)
        _tell(nights, settings, sample.last_day, options.nights)
    except (StoreError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except psycopg.Error as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    return 0


def _live(nights: Nights, last_day: date, number: int) -> None:
    for back in range(number - 1, -1, -1):
        started = time.monotonic()
        day = last_day - timedelta(back)
        nights.run(day)
        print(f"Night {number - back}, {day}: {time.monotonic() - started:.1f} s", flush=True)
    nights.run(last_day, _LATER)


def _tell(nights: Nights, settings: Settings, last_day: date, number: int) -> None:
    with nights.session() as connection:
        print("\n".join(logged_in_words(connection)))
        print(f"\n{skew_in_words(latest_skew(connection))}")
    scores = _scores(nights, settings, last_day, number)
    print(
        f"\nSold within {HORIZON_HOURS} hours, judged on {scores.judged_on:,} listings as they "
        f"were served, after training on {scores.trained_on:,} of earlier days:\n"
        f"  trained on what was served:  {scores.served:.4f}\n"
        f"  trained on rebuilt history:  {scores.rebuilt:.4f}\n"
        f"  difference:                  {scores.gain:+.4f}, give or take {scores.give_or_take:.4f}"
    )


def _scores(nights: Nights, settings: Settings, last_day: date, number: int) -> Scores:
    features = logged_sets(settings.include_dir)[_SET].features
    names = [feature.name for feature in features if feature.dtype in _NUMBERS]
    split = last_day - timedelta(number // 3)
    with nights.session() as connection:
        rows = connection.execute(_QUERY.read_bytes()).fetchall()
    # What left the market sooner without a sale tells nothing of a week; nor do training labels
    # that were not known at the split.
    rows = [
        row
        for row in rows
        if (row[1] or row[2] > HORIZON_HOURS) and not split - _HORIZON < row[0] <= split
    ]
    sold = [sold and hours <= HORIZON_HOURS for _, sold, hours, *_ in rows]
    served, rebuilt = (
        np.array(
            [
                [float("nan") if v is None else float(v) for v in map(row[n].get, names)]
                for row in rows
            ]
        )
        for n in (-2, -1)
    )
    if not rows or len(set(sold)) < 2 or len({row[0] > split for row in rows}) < 2:
        raise ValueError("too few listings for a score; ask for more listings or nights")
    return compare(served, rebuilt, np.array(sold), np.array([row[0] > split for row in rows]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make sixty-nights", description=__doc__)
    parser.add_argument("--listings", type=int, default=4_500)
    parser.add_argument("--days", type=int, default=90, help="over which the listings appear")
    parser.add_argument("--nights", type=int, default=60, help="the last of these days")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
