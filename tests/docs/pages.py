"""What the pages tell people to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {page.name: page.read_text() for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}


WALK = "your-own-store.md"
"""With databases and folders of its own: in tests/dags test_second_store.py types all but
the last part, and test_store_by_hand.py that."""


def lines_that_call(program: str) -> list[str]:
    """The lines of code blocks that call the program, without their comments; `\\` joins lines."""
    found = []
    for name, text in PAGES.items():
        if name == WALK:
            continue
        joined = text.replace("\\\n", " ")
        found += re.findall(rf"^ *{program} \S.*$", joined, flags=re.MULTILINE)
    return sorted({" ".join(line.split()) for line in found})
