"""What the arguments of the command line may be."""

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

# A name, a day, a reason: what is longer is a file that was given in the place of one.
_MOST_CHARACTERS = 10_000


class Parser(argparse.ArgumentParser):
    """A parser whose complaints stay short, whatever they quote."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, as argparse does."""
        super().error(bounded(message))


def offer_json(command: argparse.ArgumentParser, words: str = "print JSON, for monitors") -> None:
    """Let a command be asked for JSON."""
    command.add_argument("--json", action="store_true", help=words)


def text(written: str) -> str:
    """A text that can be used; an empty one is a variable of a script that was not set."""
    complaint = fault(written, most=_MOST_CHARACTERS)
    if complaint or not written.strip():
        raise argparse.ArgumentTypeError(complaint or "is empty")
    return written


def reason(written: str) -> str:
    """Why somebody does what is kept for ever, in words of their own."""
    if is_placeholder(text(written)):
        raise argparse.ArgumentTypeError(
            f"{written!r} stands there for you to replace: say why, for whoever reads it later"
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
    """A number of minutes above 0, of a day at most."""
    try:
        found = float(text(written))
    except ValueError:
        found = 0.0
    if not 0 < found <= 24 * 60:
        raise argparse.ArgumentTypeError(
            f"{written!r} is not a number of minutes; expected 1440 at most"
        )
    return found


def login() -> str:
    """As whom somebody works here.

    Raises:
        BadInput: nobody knows.
    """
    try:
        return text(getpass.getuser())
    except (KeyError, OSError, ImportError, argparse.ArgumentTypeError) as error:
        raise BadInput(
            f"Your login cannot be told: {error}.", next_step="Say who you are: --by NAME."
        ) from error


def chosen_settings(options: argparse.Namespace) -> Settings:
    """The settings, with the store that the options name.

    Raises:
        BadInput: one that cannot be used.
    """
    return of_store(read_settings(), options.store, options.connection)


def wanted_sets(settings: Settings, names: Sequence[str]) -> Sequence[FeatureSet]:
    """The feature sets of these names; of none, all.

    Raises:
        BadInput: there is none of a name.
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
