"""What must hold before anything is refreshed: ``include/sql/guards/NAME.sql``.

An expectation checks what a refresh has made. A guard looks before it: a single row that the SQL
cannot handle would stop the refresh without being named, and others could make it fill the disk. A
file is a query of the rows that must not be there, the most useful columns first. It is named after

- a source: asked by `prepare`, and again by each refresh that reads it, in its own snapshot;
- a relation of the store: asked before that relation is refreshed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.thresholds import filled_in, read_thresholds
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.text_format import MOST_ROWS

# As JSON, which can hold values that Python cannot, such as a moment in the year 20000.
_ASKED = """
SELECT coalesce(json_agg(row_to_json(b)), '[]') FROM (SELECT * FROM ({}) AS a LIMIT {}) AS b
"""


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


def guard_problems(connection: Connection, guards: Iterable[Guard]) -> list[str]:
    """Ask guards; for each one that does not hold, name the rows that break it and what to do.

    Args:
        connection: a pinned session; the guards check what it sees.
        guards: which.
    """
    return [problem for guard in guards for problem in _problem(connection, guard)]


def _problem(connection: Connection, guard: Guard) -> list[str]:
    asked = sql.SQL(_ASKED).format(sql.SQL(guard.query), sql.Literal(MOST_ROWS + 1))
    against = [
        ", ".join(f"{k} {v}" for k, v in one.items()) for one in one_value(connection, asked)
    ]
    if not against:
        return []
    shown = "\n".join(against[:MOST_ROWS]) + ("\nand more" if len(against) > MOST_ROWS else "")
    return [
        f"{guard.name}: expected {guard.expected}. These rows break it:\n{shown}\nNext: "
        f"{guard.mend}"
    ]
