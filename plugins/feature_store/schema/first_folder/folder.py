"""Writing down a store that was found: its folder, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from feature_store.connection import Connection
from feature_store.declarations.undecided import Undecided, undecided
from feature_store.errors import BadInput
from feature_store.schema.first_folder.contracts import (
    contract_files,
    left_out,
    registered_sets,
)
from feature_store.schema.first_folder.found_store import FoundStore, find_store
from feature_store.schema.first_folder.layers import Placed, place
from feature_store.schema.first_folder.refusals import (
    chosen_schemas,
    refuse_a_store,
    refuse_unfit,
)
from feature_store.schema.first_folder.sql_files import (
    path_of,
    relation_file,
    specification_file,
    specification_path,
)
from feature_store.schema.first_folder.toml_files import (
    EXCEPTIONS,
    THRESHOLDS,
    leak_rules_file,
    sources_file,
    store_file,
    suites_of,
)


@dataclass(frozen=True)
class WrittenFolder:
    """What was written.

    Attributes:
        directory: where.
        name: what the store is called.
        found: the store.
        placed: how each relation is refreshed.
        files: how many files there are.
        sets_left_out: feature sets of its registry that got no file.
        undecided: what a person has to decide.
    """

    directory: Path
    name: str
    found: FoundStore
    placed: tuple[Placed, ...]
    files: int
    sets_left_out: tuple[str, ...]
    undecided: tuple[Undecided, ...]


def write_folder(
    connection: Connection,
    directory: Path,
    schemas: Sequence[str] = (),
    name: str | None = None,
) -> WrittenFolder:
    """Write the folder of the store that a database has. Changes nothing in the database.

    Args:
        connection: a pinned session of any role.
        directory: where to; it must be empty, or not be there.
        schemas: the schemas of the store's relations; none: all that have materialized views.
        name: what the store is called; None: as its first schema.

    Raises:
        BadInput: the folder is not empty or cannot be written, or there is no store, or one that
            no folder can hold.
        NotReady: the database has a store of ours already.
    """
    require_empty(directory)
    with connection.transaction():
        # All that is read is of one moment.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        refuse_a_store(connection)
        chosen = chosen_schemas(connection, schemas)
        found = find_store(connection, chosen)
        refuse_unfit(found, chosen)
        sets = registered_sets(connection, chosen)
    placed, suites = place(found), suites_of(found)
    in_order = _registry_first(found, chosen, [one.schema for one in sets])
    name = name or in_order[0]
    files = {
        "store.toml": store_file(name, in_order),
        "sources.toml": sources_file(found),
        "suites.toml": "\n".join(suites.values()),
        "thresholds.toml": THRESHOLDS,
        "leak_rules.toml": leak_rules_file(found),
        "exceptions.toml": EXCEPTIONS,
        **contract_files(found, sets),
        **{path_of(p): relation_file(p) for p in placed},
        **{specification_path(p.relation): specification_file(p.relation) for p in placed},
        # Folders that are read, and that nothing has to be in.
        **{f"sql/expectations/{suite}/.gitkeep": "" for suite in suites},
        "sql/history/.gitkeep": "",
    }
    _write(directory, files)
    waiting = undecided(directory)
    return WrittenFolder(directory, name, found, placed, len(files), left_out(sets), waiting)


def require_empty(directory: Path) -> None:
    """Pass where a folder may be written.

    Raises:
        BadInput: there is something.
    """
    try:
        there = sorted(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadInput(f"{directory} cannot be read: {error}") from error
    if there:
        raise BadInput(
            f"{directory} is not empty: it has {there[0]}. A store's folder is written once.",
            readers="nothing was changed.",
            next_step="Name a folder that is empty, or that is not there.",
        )


def _registry_first(
    found: FoundStore, schemas: Sequence[str], registries: Sequence[str]
) -> tuple[str, ...]:
    """The schemas: first that with a registry, and then that with the most of the store."""
    held = [relation.name.schema for relation in found.materialized]
    return tuple(sorted(schemas, key=lambda s: (s not in registries, -held.count(s))))


def _write(directory: Path, files: Mapping[str, str]) -> None:
    made: list[Path] = []
    try:
        for relative, content in files.items():
            path = directory / relative
            made += _missing_folders(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            made.append(path)
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        _take_back(made)
        raise BadInput(
            f"{directory} cannot be written: {error}",
            readers="nothing was changed.",
            next_step="Make room, or name a folder that you may write.",
        ) from error


def _missing_folders(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing[::-1]


def _take_back(made: Sequence[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
