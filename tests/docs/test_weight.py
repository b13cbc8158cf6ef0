"""docs/decisions/weight.md says of each part how long it is, and it is about that long."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

_TEXT = (ROOT / "docs" / "decisions" / "weight.md").read_text()
_ROWS = re.findall(r"^\| `([\w/.*]+)` \| ([\d,]+) \| \S", _TEXT, flags=re.MULTILINE)
_CODE = {".py", ".sql", ".js", ".css", ".html", ".jinja"}
_PACKAGE = ROOT / "plugins" / "feature_store"
_NOT_OURS = "echarts.min.js"


def _lines(where: str) -> int:
    path = ROOT / where
    if "/" not in where and not path.exists():  # modules of the package, in whatever room
        files = list(_PACKAGE.rglob(where))
    else:
        files = [path] if path.is_file() else list(path.rglob("*"))
    ours = [f for f in files if f.suffix in _CODE and f.name != _NOT_OURS]
    return sum(len(f.read_text().splitlines()) for f in ours)


@pytest.mark.parametrize(("where", "lines"), _ROWS)
def test_a_part_has_about_as_many_lines_as_are_said(where: str, lines: str):
    assert _lines(where) == pytest.approx(int(lines.replace(",", "")), rel=0.15)


def test_there_are_parts_to_weigh():
    assert len(_ROWS) > 10
