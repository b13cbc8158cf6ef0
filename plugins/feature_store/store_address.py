"""How people reach a store: by which command, and in which folder its files are.

Texts say it as it is in a checkout: ``bin/feature-store``, and ``include/`` for the store's folder.
Where the package is installed, the command is ``feature-store``, and the folder is elsewhere. And
the settings name one store: its folder and its connection. The DAG file of another names both
itself, so what that store's runs, mails and pages tell people to type must name them, too; else it
would reach the store of the settings.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from feature_store.settings import Settings, read_settings

_CHECKOUT = Path(__file__).resolve().parents[2]
_TOLD = "bin/feature-store"
# A command that names its store already has an option there.
_COMMAND = re.compile(r"\bbin/feature-store(?= [a-z])")
_FILE = re.compile(r"(?<![\w./-])include/(?=sql/|contracts/|[a-z_]+\.toml\b)")


def of_store(
    settings: Settings, folder: Path | str | None = None, conn_id: str | None = None
) -> Settings:
    """The settings of a store that names its own folder, its own connection, or both."""
    if folder:
        settings = replace(settings, include_dir=Path(folder).resolve())
    return replace(settings, conn_id=conn_id) if conn_id else settings


def options_of(settings: Settings) -> str:
    """The options that lead a command to this store; empty if the environment does.

    Args:
        settings: of the store.

    Raises:
        BadInput: the environment has a setting that cannot be used.
    """
    named = read_settings()
    options = []
    if settings.include_dir.resolve() != named.include_dir.resolve():
        options += ["--store", str(settings.include_dir)]
    if settings.conn_id != named.conn_id:
        options += ["--connection", settings.conn_id]
    return shlex.join(options)


def command_of(settings: Settings) -> str:
    """What people type to reach a store, up to the command's own words.

    Args:
        settings: of the store.
    """
    return f"{_program()} {options_of(settings)}".rstrip()


def as_here(text: str) -> str:
    """A text whose commands need not name a store: with the program as it is called here."""
    return _COMMAND.sub(_program(), text)


def is_as_told(settings: Settings) -> bool:
    """Whether texts are right as they stand: a checkout's own store, and that of the settings.

    Args:
        settings: of the store.
    """
    return command_of(settings) == _TOLD and _is_in_checkout(settings)


def addressed(settings: Settings, quote: Callable[[str], str] = str) -> Callable[[str], str]:
    """What has the commands and files that a text names be those of this store, as it is here.

    Args:
        settings: of the store.
        quote: makes what is added fit for the text, such as an escape for HTML.
    """
    command = quote(command_of(settings))
    folder = "include/" if _is_in_checkout(settings) else quote(f"{settings.include_dir}/")

    def change(text: str) -> str:
        return _FILE.sub(lambda _: folder, _COMMAND.sub(lambda _: command, text))

    return change


def _program() -> str:
    return _TOLD if (_CHECKOUT / _TOLD).exists() else "feature-store"


def _is_in_checkout(settings: Settings) -> bool:
    return settings.include_dir.resolve() == _CHECKOUT / "include"
