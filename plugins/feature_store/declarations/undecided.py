"""What only a person can decide: places of a store's folder that wait for words of theirs.

`init` writes a folder for a store that is there. What the catalog cannot tell it marks; until a
person has put something in the place of each mark, no command and no run works with the folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.files.text_file import read_text
from feature_store.errors import BadInput
from feature_store.text_format import plural

MARK = "DECIDE:"
# The store's own files. Anything else in its folder may say what it likes.
_FILES = ("*.toml", "contracts/*.toml", "sql/**/*.sql")


@dataclass(frozen=True)
class Undecided:
    """A place that waits for a person.

    Attributes:
        path: the file.
        line: which of its lines, from 1.
        question: what is to be decided.
    """

    path: Path
    line: int
    question: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: to be decided: {self.question}"


def undecided(include_dir: Path) -> tuple[Undecided, ...]:
    """Every place of a folder that waits for a person; of a file that cannot be read, none."""
    return tuple(_places(include_dir))


def require_decided(include_dir: Path) -> None:
    """Pass where nothing waits for a person.

    Raises:
        BadInput: something does; the message names the first place.
    """
    if places := undecided(include_dir):
        folder, left = shlex.quote(str(include_dir)), plural(len(places), "place")
        raise BadInput(
            str(places[0]),
            next_step=f"Put what you decide in the place of {MARK} and what follows it, or delete "
            f"the comment. `bin/feature-store check {folder}` lists all that is left ({left}).",
        )


def _places(include_dir: Path) -> Iterator[Undecided]:
    for path in sorted(path for files in _FILES for path in include_dir.glob(files)):
        try:
            text = read_text(path)
        except BadInput:  # whoever reads it for what it says tells of that
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            _, mark, question = line.partition(MARK)
            if mark:
                yield Undecided(path, number, question.strip().rstrip('",'))
