"""The commands that need a store's folder and no database: ``check`` and ``grants``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from feature_store.cli.arguments import chosen_settings, folder
from feature_store.declarations.folder_lint import folder_problems
from feature_store.schema.privileges.grants import kept_problems, read_grants
from feature_store.text_format import bounded, bullets, plural

if TYPE_CHECKING:
    from feature_store.cli.arguments import Parser


def add_folder_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add them to the parser."""
    for name, run, words in (
        (
            "check",
            _check,
            "Name everything that is wrong with a store's folder. Needs no database.",
        ),
        (
            "grants",
            _grants,
            "Print the SQL that creates a store's roles and their grants, for the "
            "administrator to read and run: grants | psql. Needs no database.",
        ),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(offline=run)
        command.add_argument(
            "folder",
            nargs="?",
            type=folder,
            metavar="FOLDER",
            help="default: FEATURE_STORE_INCLUDE_DIR",
        )


def _folder(options: argparse.Namespace) -> Path:
    named: Path | None = options.folder
    return named or chosen_settings(options).include_dir


def _grants(options: argparse.Namespace) -> int:
    sys.stdout.write(read_grants(_folder(options)))
    return 0


def _check(options: argparse.Namespace) -> int:
    """Print everything that is wrong.

    Returns:
        The exit code: 0 if nothing is wrong, else 1.

    Raises:
        BadInput: no folder was given, and a setting cannot be used.
    """
    include_dir = _folder(options)
    problems = folder_problems(include_dir)
    problems = problems or kept_problems(include_dir)
    if not problems:
        print(f"{include_dir}: nothing is wrong, as far as can be checked without a database.")
        return 0
    found = bullets([bounded(problem) for problem in problems])
    print(f"{include_dir}: {plural(len(problems), 'problem')}.\n{found}", file=sys.stderr)
    return 1
