"""What the files say about the store: its graph, its contracts, its declared exceptions.

They are read in outline, as for the DAG file, without parsing SQL, and again only after a change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.dag_outline import Outline, Refresh, read_outlines
from feature_store.declarations.declared_exceptions import (
    DeclaredException,
    read_exceptions,
    tainted_by,
)
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.files.text_file import FileState, states_of
from feature_store.declarations.source_tables import read_sources
from feature_store.declarations.store_profile import StoreProfile, read_profile
from feature_store.declarations.suites import read_suites
from feature_store.relation_name import Name
from feature_store.reporting.store.models import ExceptionLine


@dataclass(frozen=True)
class Described:
    """A relation as its file describes it.

    Attributes:
        name: its name.
        label: its short name in the documents; else its name without the schema.
        what: what it is, in a few words.
        grain: what one row of it is.
        refresh: how it is refreshed.
        level: steps from the sources; 0 if it reads only sources.
        reads: the relations of the store and the sources that it reads.
        path: its file.
    """

    name: str
    label: str
    what: str
    grain: str
    refresh: Refresh
    level: int
    reads: tuple[str, ...]
    path: Path

    @property
    def is_refreshed(self) -> bool:
        """Whether it keeps rows; a plain view does not."""
        return self.refresh is not Refresh.NEVER


@dataclass(frozen=True)
class Files:
    """Everything that the files say.

    Attributes:
        profile: the store's name, and where it is.
        relations: by name, each after what it reads.
        sources: names of the user's tables.
        feature_sets: the contracts.
        exceptions: the declared exceptions.
        suites: the suites that a run checks, by name.
        tainted: the ids of the exceptions that reach a feature, by feature set and feature.
    """

    profile: StoreProfile
    relations: dict[str, Described]
    sources: tuple[str, ...]
    feature_sets: tuple[FeatureSet, ...]
    exceptions: tuple[DeclaredException, ...]
    suites: tuple[str, ...]
    tainted: dict[tuple[str, str], tuple[str, ...]]

    def label(self, relation: str) -> str:
        """The short name of a relation, also of one that no longer has a file."""
        known = self.relations.get(relation)
        return known.label if known else relation.partition(".")[2]

    def exception_lines(self, ids: tuple[str, ...] | None = None) -> list[ExceptionLine]:
        """The exceptions of these ids, or all."""
        return [
            ExceptionLine(
                id=e.id,
                title=e.title,
                reason=e.reason,
                relation=str(e.relation),
                badge=e.badge,
                taints={name: list(features) for name, features in e.taints.items()},
            )
            for e in self.exceptions
            if ids is None or e.id in ids
        ]


_known: dict[Path, tuple[tuple[FileState, ...], Files]] = {}


def read_files(include_dir: Path) -> Files:
    """Read the files, or return the last result if none of them has changed.

    Raises:
        BadInput: a file cannot be used.
    """
    state = states_of(_paths(include_dir))
    known = _known.get(include_dir)
    if known is None or known[0] != state:
        known = _known[include_dir] = (state, _read(include_dir))
    return known[1]


def _paths(include_dir: Path) -> Iterator[Path]:
    folders = [include_dir / "sql" / refresh.value for refresh in Refresh]
    for folder in (include_dir, include_dir / "contracts", *folders):
        yield from folder.glob("*.toml")
        yield from folder.glob("*.sql")


def _read(include_dir: Path) -> Files:
    sources = {source.name for source in read_sources(include_dir / "sources.toml")}
    outlines = read_outlines(include_dir)
    levels: dict[Name, int] = {}
    for name in outlines:
        _level(name, outlines, levels)
    relations = [_described(outlines[n], levels[n], sources) for n in outlines]
    relations.sort(key=lambda relation: relation.level)
    exceptions = read_exceptions(include_dir)
    return Files(
        profile=read_profile(include_dir),
        relations={relation.name: relation for relation in relations},
        sources=tuple(sorted(map(str, sources))),
        feature_sets=read_feature_sets(include_dir),
        exceptions=exceptions,
        suites=tuple(read_suites(include_dir)),
        tainted=tainted_by(exceptions),
    )


def _level(name: Name, outlines: dict[Name, Outline], levels: dict[Name, int]) -> int:
    if name not in levels:
        levels[name] = 0  # of files that read each other in a cycle, which no run lets pass
        below = [_level(read, outlines, levels) for read in outlines[name].reads]
        levels[name] = 1 + max(below, default=-1)
    return levels[name]


def _described(outline: Outline, level: int, sources: set[Name]) -> Described:
    name = str(outline.name)
    said = outline.header.get("Relation", name)
    match = re.fullmatch(rf"{re.escape(name)}(?: \((?P<label>[^)]+)\))?(?:, )?(?P<what>.*)", said)
    return Described(
        name=name,
        label=(match and match["label"]) or outline.name.relation,
        what=match["what"] if match else said,
        grain=outline.header.get("Grain", ""),
        refresh=outline.refresh,
        level=level,
        reads=tuple(sorted(map(str, outline.reads | (outline.names & sources)))),
        path=outline.path,
    )
