"""`make drawings`: write anew what docs/architecture.md shows of the code.

The picture of the floors comes from the imports, the table of today's texts from the steps of the
audit schema. test_architecture.py makes both, too, and compares.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
_STEPS = ROOT / "plugins" / "feature_store" / "sql" / "audit"
_TEXT = re.compile(
    r"^(CREATE|ALTER)(?: OR REPLACE)? (?:FUNCTION|VIEW) feature_store_audit\.(\w+)", re.M
)


def drawn(page: str) -> str:
    """The page, with what the code says now between its marks."""
    for name, part in (("floors", floors()), ("today's texts", todays_texts())):
        begin, end = f"<!-- {name}: make drawings -->\n", "<!-- end -->"
        before, mark, rest = page.partition(begin)
        assert mark, begin
        page = f"{before}{begin}{part}{end}{rest.partition(end)[2]}"
    return page


def rooms() -> list[str]:
    """The package's rooms from top to bottom, as the linter holds them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return [room for floor in layers for room in floor.split(" | ")]


def floors() -> str:
    """A box for each room, with the rooms in it, and an arrow to each of those it stands on."""
    graph = grimp.build_graph("feature_store", cache_dir=None)
    modules = {room: f"feature_store.{room}" for room in rooms()}
    boxes = [f'    {room}["{_box(graph, module)}"]' for room, module in modules.items()]
    for module in modules.values():
        graph.squash_module(module)
    arrows = []
    for room, module in modules.items():
        imports = graph.find_modules_directly_imported_by(module) - {module}
        for other, below in modules.items():
            over_others = any(graph.chain_exists(one, below) for one in imports - {below})
            if below in imports and not over_others:
                arrows.append(f"    {room} --> {other}")
    return "\n".join(["```mermaid", "flowchart TB", *boxes, *arrows, "```", ""])


def _box(graph: grimp.ImportGraph, module: str) -> str:
    rooms = [m for m in graph.find_children(module) if graph.find_children(m)]
    name, *inner = (m.rpartition(".")[2] for m in (module, *sorted(rooms)))
    return f"{name}<br/>{', '.join(inner)}" if inner else name


def todays_texts() -> str:
    """In which step the text of today stands, of what more than one step says something about."""
    steps: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(_STEPS.glob("*.sql")):
        for does, name in _TEXT.findall(path.read_text()):
            steps.setdefault(name, []).append((does, path.name))
    lines = ["| Function or view | Its text of today |", "|---|---|"]
    for name, said in sorted(steps.items()):
        if len(said) > 1:
            newest = max(file for does, file in said if does == "CREATE")
            later = [f", changed by `{file}`" for does, file in said if file > newest]
            lines.append(f"| `{name}` | `sql/audit/{newest}`{''.join(later)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
