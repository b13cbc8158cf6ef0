"""PostgreSQL's node trees: what a stored rule, policy or function body really says.

The server keeps them as text, ``{NODE :field value …}``, with every name already looked up: columns
by number, functions by OID. Fields differ between major versions, so this reader knows only the
notation, and no field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

# As the server's own reader splits them: blanks and brackets end a token, a backslash quotes.
_TOKEN = re.compile(r"[(){}]|(?:\\.|[^ \n\t(){}\\])+", re.DOTALL)
_QUOTED = re.compile(r"\\(.)", re.DOTALL)

Value: TypeAlias = "Node | list[Value] | str | None"


@dataclass(frozen=True, eq=False)
class Node:
    """One node.

    Attributes:
        tag: its kind, such as ``FUNCEXPR``.
        fields: its fields in order: a node, a list, text, or None for the server's ``<>``.
    """

    tag: str
    fields: dict[str, Value]

    def text(self, field: str) -> str:
        """A field's text; empty if the node has no such field or it holds no text."""
        value = self.fields.get(field)
        return value if isinstance(value, str) else ""

    def number(self, field: str) -> int:
        """A field's whole number; 0 if the node has no such field."""
        return int(self.text(field) or 0)

    def node(self, field: str) -> Node | None:
        """A field's node, if it holds one."""
        value = self.fields.get(field)
        return value if isinstance(value, Node) else None

    def items(self, field: str) -> list[Value]:
        """A field's list; empty if it holds none."""
        value = self.fields.get(field)
        return value if isinstance(value, list) else []

    def nodes(self, field: str) -> list[Node]:
        """The nodes in a field's list."""
        return [item for item in self.items(field) if isinstance(item, Node)]

    def numbers(self, field: str) -> list[int]:
        """A list of numbers or OIDs, or a set of numbers: ``(i 1 2)``, ``(o 1 2)``, ``(b 1 2)``."""
        return [int(item) for item in self.items(field)[1:] if isinstance(item, str)]


# Cached, because a task asks for the same relations more than once. Do not change the result.
@lru_cache(maxsize=128)
def parse_tree(text: str) -> Value:
    """Read a node tree.

    Raises:
        ValueError: the text is not one.
    """
    tokens = _TOKEN.findall(text)
    try:
        value, end = _value(tokens, 0)
    except (IndexError, RecursionError) as error:
        raise ValueError(f"not a node tree: {text[:80]!r}") from error
    if end != len(tokens):
        raise ValueError(f"more than a node tree: {text[:80]!r}")
    return value


def walk(value: Value) -> Iterator[Node]:
    """Every node of a tree, each before its parts."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, Node):
            yield current
            parts: Iterable[Value] = current.fields.values()
        else:
            parts = current if isinstance(current, list) else ()
        # Most of a tree is text, which has no parts.
        pending.extend([part for part in parts if isinstance(part, (Node, list))][::-1])


def _value(tokens: list[str], at: int) -> tuple[Value, int]:
    word = tokens[at]
    if word == "{":
        return _node(tokens, at + 1)
    if word == "(":
        items: list[Value] = []
        at += 1
        while tokens[at] != ")":
            item, at = _value(tokens, at)
            items.append(item)
        return items, at + 1
    if word in ")}":
        raise IndexError(at)
    if word == "<>":
        return None, at + 1
    return (_QUOTED.sub(r"\1", word) if "\\" in word else word), at + 1


def _node(tokens: list[str], at: int) -> tuple[Node, int]:
    tag = tokens[at]
    fields: dict[str, Value] = {}
    at += 1
    while tokens[at] != "}":
        name = tokens[at]
        if not name.startswith(":"):
            raise IndexError(at)
        # The first token is the value, even if it looks like a field: a column may be called
        # ":funcid". For a constant it is the length; its bytes follow in brackets.
        fields[name[1:]], at = _value(tokens, at + 1)
        held: list[Value] = []
        while tokens[at] != "}" and not tokens[at].startswith(":"):
            item, at = _value(tokens, at)
            held.append(item)
        if held:
            fields["constbytes"] = held[1:-1]
    return Node(tag, fields), at + 1
