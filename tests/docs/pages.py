"""What the pages tell people to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PAGES = ("*.md", "docs/*.md", "bench/README.md")
# The change log quotes commands of versions that are gone.
PAGES = {
    str(page.relative_to(ROOT)).removeprefix("docs/"): page.read_text()
    for pattern in _PAGES
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"
}


WALK = "your-own-store.md"
"""With databases and folders of its own: tests/dags/test_second_store.py types all of it but the
last part, which tests/dags/test_store_by_hand.py types."""


def section(page: str, heading: str) -> str:
    """What stands under a heading of a page, up to the next heading of its rank or above."""
    (rank, body), *others = re.findall(
        rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)",
        PAGES[page],
        flags=re.MULTILINE | re.DOTALL,
    )
    assert (rank, others) == ("##", [])
    return body


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def lines_that_call(program: str) -> list[str]:
    """The lines of code blocks that call the program, without their comments; `\\` joins lines."""
    found = []
    for name, text in PAGES.items():
        if name == WALK:
            continue
        joined = text.replace("\\\n", " ")
        found += re.findall(rf"^ *{program} \S.*$", joined, flags=re.MULTILINE)
    return sorted({" ".join(line.split()) for line in found})


def changed(text: str, diff: str) -> str:
    """A file's text after a page's diff; `@@` is between two places."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        assert text.count(old) == 1, f"once there: {old}"
        text = text.replace(old, "".join(line[1:] for line in lines if line[0] != "-"))
    return text
