"""Every command that the package's own words tell people to type is one that the program takes.

The words are messages, hints of SQL, templates of mails and the page's scripts. What they fill in
is replaced by a word that fits.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from feature_store.cli.commands import _parser

_PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
_KINDS = (".py", ".sql", ".jinja", ".js", ".html")
_FITS = {
    "day": "2026-06-12",
    "moment": "2026-06-12T03:20",
    "PLACEHOLDER": "'late data'",
    "of": " --layer D3",
}
_FILLED_IN = r"%+(?:\d\$)?s|\$\{[^}]*\}|\{\{[^}]*\}\}|\{\w*\}"
OURS = r"bin/feature-store +([a-z-]+[^`\"<>|;,()]*)"
AIRFLOWS = r"airflow +((?:dags|tasks|jobs|backfill|connections) [^`\"<>|;,()]*)"


class _Words(ast.NodeVisitor):
    """The strings of a module, joined and filled in."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.append(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.found.append("".join(map(self._part, node.values)))

    @staticmethod
    def _part(part: ast.expr) -> str:
        if isinstance(part, ast.FormattedValue):
            return _FITS.get(ast.unparse(part.value), "NAME")
        return str(part.value) if isinstance(part, ast.Constant) else ""


def _texts(path: Path) -> Iterator[str]:
    words = [path.read_text()]
    if path.suffix == ".py":
        visitor = _Words()
        visitor.visit(ast.parse(words[0]))
        words = visitor.found
    for text in words:
        yield from re.sub(_FILLED_IN, "NAME", text).splitlines()


def told(program: str) -> list[str]:
    """The commands of a program, without its name."""
    found: set[str] = set()
    for path in _PLUGINS.rglob("*"):
        if path.suffix in _KINDS and program.partition(" +")[0] in path.read_text():
            for text in _texts(path):
                found |= {" ".join(words.split()) for words in re.findall(program, text)}
    return sorted(found)


def _is_taken(text: str) -> bool:
    """A sentence may go on after a command, and may name one alone; options belong to it."""
    # A person replaces this placeholder, as the program demands; SQL doubles its quotes.
    text = re.sub(r"REASON'*", "'late data'", text).rstrip(".")
    words = shlex.split(text if text.count("'") % 2 == 0 else text.rstrip("'"))
    options = [place for place, word in enumerate(words) if word.startswith("-")]
    if not options:
        return words[0] in _parser().format_help()
    return any(_parses(words[:end]) for end in range(len(words), options[-1], -1))


def _parses(words: list[str]) -> bool:
    try:
        _parser().parse_args(words)
    except SystemExit as left:
        return left.code == 0
    return True


def test_the_command_line_takes_them():
    commands = told(OURS)
    assert len(commands) > 20
    assert "accept-history --day 2026-06-12 --layer D3 --reason 'late data'" in commands
    assert "stamp-contract NAME --replace" in commands
    assert [text for text in commands if not _is_taken(text)] == []


# A command that no backticks hold, with its options, and the full stop of its sentence.
_STOPPED = re.compile(
    r"(?<![`\w/])(?:bin/feature-store [a-z-]+|airflow [a-z]+ [a-z-]+)"
    r"(?: --[a-z-]+(?: (?!--)[^\s.`]+)?)*\.(?=\s|$)"
)


def test_no_command_ends_in_the_full_stop_of_its_sentence():
    """Whoever copies the line types the stop, too."""
    assert _STOPPED.search("See airflow dags list.")
    assert _STOPPED.search("Run bin/feature-store apply --replace ml.")
    assert not _STOPPED.search("Run `bin/feature-store apply`. bin/feature-store plan shows it.")
    paths = [path for path in _PLUGINS.rglob("*") if path.suffix in _KINDS]
    assert [text for path in paths for text in _texts(path) if _STOPPED.search(text)] == []
