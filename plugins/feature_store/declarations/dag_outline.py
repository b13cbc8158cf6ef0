"""The store in outline: its relations, how each refreshes, and what it reads.

The DAG processor and every task parse the DAG file again and again, and it needs no more than this.
Parsing SQL would cost more than all the rest. So here a relation reads another if its file names it
outside comments and strings. `store_definition.read_store`, which does parse, refuses a file for
which that is wrong, before any run does any work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Protocol

from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.errors import BadInput
from feature_store.relation_name import Name, folded

EXPECTATIONS = "expectations"
"""The group of the tasks that check suites."""

VERDICT = "assert_contract"
"""The task that gives the verdict on a run."""

SWITCHES = ("refresh_unchanged", "accept_shrink")
"""The parameters of a run that are true or false."""

PARAMETERS = ("as_of_day", *SWITCHES)
"""All that a run can be given."""

_UNREAD = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_QUALIFIED = re.compile(r'("[^"]+"|\w+)\s*\.\s*("[^"]+"|\w+)')


class Refresh(StrEnum):
    """How a relation is refreshed. The values are the folders of ``include/sql``."""

    BLOCKING = "base"
    CONCURRENT = "read"
    NEVER = "views"


class Ordered(Protocol):
    """What the order of refreshes depends on: how a relation is refreshed, and what it reads."""

    @property
    def refresh(self) -> Refresh: ...  # noqa: D102  # the class says it

    @property
    def reads(self) -> frozenset[Name]: ...  # noqa: D102  # the class says it


@dataclass(frozen=True)
class Outline:
    """One relation.

    Attributes:
        name: its name, which is also its file's.
        refresh: how it is refreshed.
        header: what its file's header says, field by field.
        reads: the relations of the store that it names.
        names: every qualified name in it: relations, sources and columns.
        path: its file.
    """

    name: Name
    refresh: Refresh
    header: Mapping[str, str]
    reads: frozenset[Name]
    names: frozenset[Name]
    path: Path


def read_outlines(include_dir: Path) -> dict[Name, Outline]:
    """Read ``include/sql`` in outline.

    Raises:
        BadInput: a file cannot be read, or is not named after its relation; or two are.
    """
    files: dict[Name, tuple[Path, Refresh, str]] = {}
    for name, file in _files(include_dir / "sql"):
        if name in files:
            raise BadInput(
                f"{file[0]} defines {name}, and so does {files[name][0]}.",
                next_step="Delete one of the two.",
            )
        files[name] = file
    outlines = {}
    for name, (path, refresh, text) in files.items():
        names = frozenset(_named(text) - {name})
        header = read_header(path, text, ())
        outlines[name] = Outline(name, refresh, header, names & files.keys(), names, path)
    return outlines


def in_order(outlines: Mapping[Name, Outline]) -> list[Name]:
    """The relations, each after those that it reads.

    Raises:
        BadInput: two relations would be one task, files read each other in a cycle, or a base layer
            reads a read layer.
    """
    _refuse_twins(outlines)
    sorter = TopologicalSorter({name: sorted(one.reads) for name, one in outlines.items()})
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        raise BadInput(
            "The SQL files read each other in a cycle: " + " → ".join(map(str, error.args[1])) + "."
        ) from None
    for name in order:
        if outlines[name].refresh is not Refresh.BLOCKING:
            continue
        for above in sorted(refreshed_before(name, outlines)):
            if outlines[above].refresh is Refresh.CONCURRENT:
                raise BadInput(
                    f"{outlines[name].path} is a base layer but reads the read layer {above}. "
                    "All base layers are refreshed before any read layer.",
                    next_step="Move the file to the folder read.",
                )
    return order


def _refuse_twins(outlines: Mapping[Name, Outline]) -> None:
    seen: set[str] = set()
    for name, outline in outlines.items():
        if name.relation in seen:
            raise BadInput(
                f"{outline.path}: another file defines a relation called {name.relation} too.",
                next_step="Rename it: tasks are named after the relation, without the schema.",
            )
        seen.add(name.relation)


def refreshed_before(name: Name, relations: Mapping[Name, Ordered]) -> frozenset[Name]:
    """The materialized views that a relation reads, directly or through plain views."""
    found: set[Name] = set()
    pending = set(relations[name].reads & relations.keys())  # the rest are sources
    while pending:
        found |= pending
        views = (relations[read] for read in pending if relations[read].refresh is Refresh.NEVER)
        pending = {read for view in views for read in view.reads & relations.keys()} - found
    return frozenset(read for read in found if relations[read].refresh is not Refresh.NEVER)


def _files(sql_dir: Path) -> Iterator[tuple[Name, tuple[Path, Refresh, str]]]:
    for refresh in Refresh:
        for path in files_in(sql_dir / refresh.value, ".sql", required=False):
            try:
                name = Name.parse(path.stem)
            except BadInput as error:
                raise BadInput(f"{path} is not the file of a relation: {error.problem}") from error
            yield name, (path, refresh, read_text(path))


def _named(text: str) -> set[Name]:
    """Every qualified name in an SQL text, of relations and of columns."""
    found = _QUALIFIED.findall(_UNREAD.sub(" ", text))
    return {Name(_taken(schema), _taken(relation)) for schema, relation in found}


def _taken(word: str) -> str:
    return word.strip('"') if word.startswith('"') else folded(word)
