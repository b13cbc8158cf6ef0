"""The command that writes a store's folder for the store that a database has."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from feature_store.cli.arguments import chosen_settings, folder, text
from feature_store.database.session import open_session
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_profile import is_schema
from feature_store.schema.first_folder.folder import WrittenFolder, require_empty, write_folder
from feature_store.store_address import as_here, command_of, of_store
from feature_store.text_format import in_words, plural

if TYPE_CHECKING:
    from feature_store.cli.arguments import Parser


def add_init(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add it to the parser."""
    words = "Write a store's folder for the views that a database has. Changes nothing there."
    init = commands.add_parser("init", help=words, description=words)
    init.add_argument("folder", type=folder, metavar="DIRECTORY", help="empty, or not there yet")
    init.add_argument(
        "--schemas",
        type=_schemas,
        default=(),
        metavar="ONE,OTHER",
        help="where the store's relations are; default: every schema with a materialized view",
    )
    init.add_argument(
        "--name", type=_name, help="what the store is called; default: as its first schema"
    )


def init_folder(options: argparse.Namespace) -> int:
    """Write the folder, and say what is left to a person.

    Returns:
        The exit code.

    Raises:
        StoreError: nothing was written.
    """
    require_empty(options.folder)  # before any work
    settings = chosen_settings(options)
    with open_session(settings, "init") as connection:
        done = write_folder(connection, options.folder, options.schemas, options.name)
    print(_told(done, command_of(of_store(settings, done.directory))))
    return 0


def _schemas(written: str) -> tuple[str, ...]:
    named = tuple(name.strip() for name in text(written).split(","))
    if not all(named) or len(set(named)) < len(named):
        raise argparse.ArgumentTypeError(f"{written!r} is no list of schemas; expected one,other")
    return named


def _name(written: str) -> str:
    if not is_schema(text(written)):
        raise argparse.ArgumentTypeError(
            f"{written!r} is no name of a store; expected small letters, digits and _, a letter "
            "first, at most 40"
        )
    return written


def _told(done: WrittenFolder, command: str) -> str:
    found = done.found
    lines = [f"Written to {done.directory}: the store {done.name}, {plural(done.files, 'file')}."]
    for refresh, how in (
        (Refresh.BLOCKING, "refreshed blocking"),
        (Refresh.CONCURRENT, "refreshed concurrently"),
        (Refresh.NEVER, "plain views"),
    ):
        if names := [str(p.relation.name) for p in done.placed if p.refresh is refresh]:
            lines.append(f"  {how} (sql/{refresh.value}): {', '.join(names)}")
    if found.sources:
        lines.append(f"  sources: {', '.join(map(str, found.sources))}")
    if found.left_out:
        words = in_words([str(name) for name in found.left_out])
        lines.append(f"  left out, as no materialized view has to do with it: {words}")
    if done.sets_left_out:
        words = in_words([repr(name) for name in done.sets_left_out])
        lines.append(f"  feature sets left out, as no file can be called so: {words}")
    lines += [
        f"To decide: {plural(len(done.undecided), 'place')}, each marked DECIDE: in the files.",
        "Not written, as only you can: what must hold (sql/expectations), and which past values "
        "are compared (sql/history).",
        as_here(f"Next: bin/feature-store check {shlex.quote(str(done.directory))}"),
        f"Then: {command} plan",
    ]
    return "\n".join(lines)
