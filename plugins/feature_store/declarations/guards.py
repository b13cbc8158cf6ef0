"""What must hold before anything is refreshed: ``include/sql/guards/NAME.sql``.

An expectation checks what a refresh has made. A guard looks before it: a single row that the SQL
cannot handle would stop the refresh without being named, and others could make it fill the disk. A
file is a query of the rows that must not be there, the most useful columns first. It is named after

- a source: asked by `prepare`, and again by each refresh that reads it, in its own snapshot;
- a relation of the store: asked before that relation is refreshed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.thresholds import filled_in, read_thresholds
from feature_store.errors import BadInput
from feature_store.relation_name import Name


@dataclass(frozen=True)
class Guard:
    """Something that must hold before a refresh.

    Attributes:
        name: the source or relation.
        expected: what must hold, in words.
        mend: what to do if it does not, in words.
        query: selects the rows that break it; none if it holds.
    """

    name: Name
    expected: str
    mend: str
    query: str


def read_guards(include_dir: Path, names: Collection[Name]) -> dict[Name, Guard]:
    """Read every guard, by what it guards.

    Args:
        include_dir: where the files are.
        names: the sources, and the relations that are refreshed.

    Raises:
        BadInput: a file has no header, an unknown name, or an unknown threshold.
    """
    thresholds = read_thresholds(include_dir)
    guards = {}
    for path in files_in(include_dir / "sql" / "guards", ".sql", required=False):
        name = Name.parse(path.stem)
        if name not in names:
            raise BadInput(
                f"{path} guards {name}, which is neither a source nor a refreshed relation."
            )
        text = read_text(path)
        header = read_header(path, text, ("Guard", "Mend"))
        query = filled_in(path, text, thresholds)
        guards[name] = Guard(name, header["Guard"], header["Mend"], query)
    return guards
