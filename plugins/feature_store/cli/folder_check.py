"""The command that checks a store's folder without a database."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from feature_store.cli.arguments import chosen_settings, folder
from feature_store.declarations.folder_lint import folder_problems
from feature_store.text_format import bounded, bullets, plural

if TYPE_CHECKING:
    from feature_store.cli.arguments import Parser


def add_check(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add it to the parser."""
    words = "Name everything that is wrong with a store's folder. Needs no database."
    check = commands.add_parser("check", help=words, description=words)
    check.add_argument(
        "folder",
        nargs="?",
        type=folder,
        metavar="FOLDER",
        help="default: FEATURE_STORE_INCLUDE_DIR",
    )


def check_folder(options: argparse.Namespace) -> int:
    """Print everything that is wrong.

    Returns:
        The exit code: 0 if nothing is wrong, else 1.

    Raises:
        BadInput: no folder was given, and a setting cannot be used.
    """
    include_dir = options.folder or chosen_settings(options).include_dir
    problems = folder_problems(include_dir)
    if not problems:
        print(f"{include_dir}: nothing is wrong, as far as can be checked without a database.")
        return 0
    found = bullets([bounded(problem) for problem in problems])
    print(f"{include_dir}: {plural(len(problems), 'problem')}.\n{found}", file=sys.stderr)
    return 1
