"""The DAG files side by side: two of them may not make one DAG, or aim at one database.

Airflow reads each DAG file by itself, and where two have a DAG of one id the last one read wins,
without a word: one store would stand in for the other, night after night. So a DAG file looks at
the calls of `feature_store_dag` in the files beside it, as they are written. It cannot tell what a
call works out while it runs, and does not see another folder.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.store_profile import StoreProfile, read_profile
from feature_store.errors import BadInput
from feature_store.settings import Settings
from feature_store.store_address import of_store, options_of

_FUNCTION = "feature_store_dag"


@dataclass(frozen=True)
class Call:
    """A DAG file that makes the DAG of a store.

    Attributes:
        file: the DAG file.
        include_dir: the store's folder.
        conn_id: the Airflow connection to its database.
        profile: what its ``store.toml`` says.
        another: it is not the store of the settings.
    """

    file: Path
    include_dir: Path
    conn_id: str
    profile: StoreProfile
    another: bool

    @classmethod
    def of(cls, file: Path, settings: Settings, profile: StoreProfile) -> Call:
        """A call in a file, by the settings of its store."""
        return cls(
            file=file,
            include_dir=settings.include_dir.resolve(),
            conn_id=settings.conn_id,
            profile=profile,
            another=bool(options_of(settings)),
        )

    @property
    def place(self) -> tuple[bool, str]:
        """Which goes first: the store of the settings, then by the file's name."""
        return self.another, str(self.file)


def refuse_second(mine: Call, settings: Settings) -> None:
    """Refuse to make a DAG that would stand in for one of another file.

    Of two only the second is refused: the first one's nights go on.

    Args:
        mine: what is to be made.
        settings: those of the environment.

    Raises:
        BadInput: a file beside it, that goes first, has the DAG's id, the store's name or its
            connection.
    """
    for other in _calls_beside(mine.file, settings):
        if other.place >= mine.place or other.file == mine.file:
            continue
        for what, own, its, where in (
            ("dag_id", mine.profile.dag_id, other.profile.dag_id, "store.toml"),
            ("name", mine.profile.name, other.profile.name, "store.toml"),
            ("conn_id", mine.conn_id, other.conn_id, "the DAG file"),
        ):
            if own == its:
                raise BadInput(
                    f"Two DAG files have one {what}, {own!r}: {other.file.name}, of the store in "
                    f"{other.include_dir}, and {mine.file.name}, of the one in "
                    f"{mine.include_dir}. This DAG was not made.",
                    readers="what they had: nothing was changed, and the other DAG goes on.",
                    next_step=f"Give each store a {what} of its own ({where}), or remove one of "
                    "the two DAG files.",
                )


def _calls_beside(file: Path, settings: Settings) -> Iterator[Call]:
    for path in sorted(file.parent.glob("*.py")):
        # What cannot be read, or used, is told by its own DAG.
        with suppress(OSError, SyntaxError, ValueError):
            content = path.read_bytes()
            tree = ast.parse(content) if _FUNCTION.encode() in content else ast.Module([], [])
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and _FUNCTION in ast.unparse(node.func):
                    with suppress(BadInput, ValueError):
                        own = of_store(settings, *_written(node))
                        yield Call.of(path, own, read_profile(own.include_dir))


def _written(call: ast.Call) -> tuple[str | None, str | None]:
    """The folder and the connection of a call.

    Raises:
        ValueError: they are not written out.
    """
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if call.args:
        named["folder"] = call.args[0]
    folder, conn_id = (
        ast.literal_eval(named[name]) if name in named else None for name in ("folder", "conn_id")
    )
    if not all(told is None or isinstance(told, str) for told in (folder, conn_id)):
        raise ValueError("neither a text nor nothing")
    return folder, conn_id
