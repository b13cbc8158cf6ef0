"""Checks the arguments of the command line."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NoReturn

from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.errors import BadInput
from feature_store.settings import Settings, read_settings
from feature_store.store_address import of_store
from feature_store.text_format import bounded, fault, is_placeholder

# For a name, a day or a reason. A longer text is most likely a file given by mistake.
_MOST_CHARACTERS = 10_000


class Parser(argparse.ArgumentParser):
    """A parser whose messages stay short, whatever they quote."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, as argparse does."""
        super().error(bounded(message))


def offer_json(command: argparse.ArgumentParser, words: str = "print JSON, for monitors") -> None:
    """Add the option for JSON to a command."""
    command.add_argument("--json", action="store_true", help=words)


def offer_stamps(command: argparse.ArgumentParser) -> None:
    """Add the option that names feature sets to stamp, as ``sets``."""
    command.add_argument(
        "--stamp-contract",
        dest="sets",
        action="append",
        default=[],
        metavar="SET",
        help="a feature set to stamp in the same transaction; may be given several times",
    )


def text(written: str) -> str:
    """A usable text. An empty one is most likely an unset variable of a script."""
    complaint = fault(written, most=_MOST_CHARACTERS)
    if complaint or not written.strip():
        raise argparse.ArgumentTypeError(complaint or "is empty")
    return written


def entity(written: str) -> str:
    """A value of a column, which may be an empty text."""
    return text(written) if written.strip() else written


def reason(written: str) -> str:
    """Why somebody does something that is kept forever, in their own words."""
    if is_placeholder(text(written)):
        raise argparse.ArgumentTypeError(
            f"{written!r} is a placeholder: replace it with your reason, for whoever reads it later"
        )
    return written


def folder(written: str) -> Path:
    """A folder, which may be missing."""
    return Path(text(written))


def day(written: str) -> date:
    """A day, as YYYY-MM-DD."""
    try:
        found = date.fromisoformat(text(written))
    except ValueError:
        found = None
    if found is None or found.isoformat() != written:
        raise argparse.ArgumentTypeError(f"{written!r} is not a day; expected YYYY-MM-DD")
    return found


def minutes(written: str) -> float:
    """A number of minutes: more than 0, at most a day."""
    try:
        found = float(text(written))
    except ValueError:
        found = 0.0
    if not 0 < found <= 24 * 60:
        raise argparse.ArgumentTypeError(
            f"{written!r} is not a number of minutes; expected more than 0, at most 1440"
        )
    return found


def login() -> str:
    """The login of whoever runs this.

    Raises:
        BadInput: it cannot be found out.
    """
    try:
        return text(getpass.getuser())
    except (KeyError, OSError, ImportError, argparse.ArgumentTypeError) as error:
        raise BadInput(
            f"Your login cannot be found: {error}.", next_step="Say who you are: --by NAME."
        ) from error


def chosen_settings(options: argparse.Namespace) -> Settings:
    """The settings, with the store that the options name.

    Raises:
        BadInput: one that cannot be used.
    """
    return of_store(read_settings(), options.store, options.connection)


def wanted_sets(settings: Settings, names: Sequence[str]) -> Sequence[FeatureSet]:
    """The feature sets of these names; all if none is given.

    Raises:
        BadInput: a name is not known.
    """
    if not names:
        return read_feature_sets(settings.include_dir)
    return [find_set(settings, name) for name in names]


def find_set(settings: Settings, name: str) -> FeatureSet:
    """The feature set of this name.

    Raises:
        BadInput: there is none.
    """
    sets = {s.name: s for s in read_feature_sets(settings.include_dir)}
    if name not in sets:
        raise BadInput(
            f"There is no feature set called {name!r} in {settings.include_dir / 'contracts'}.",
            next_step=f"Use one of {', '.join(sets)}.",
        )
    return sets[name]
