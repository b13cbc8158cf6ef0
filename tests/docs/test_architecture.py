"""docs/architecture.md: its floors are those of the linter, and its files and tables exist."""

from __future__ import annotations

import re
import tomllib

from tests.conftest import ROOT

PACKAGE = ROOT / "plugins" / "feature_store"
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_its_floors_are_those_that_the_linter_holds():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [room for floor in layers for room in floor.split(" | ")]

    table = PAGE.partition("| Room |")[2].partition("\n\n")[0]
    firsts = "\n".join(line.split("|")[1] for line in table.splitlines()[2:])

    assert re.findall(r"`(\w+)`", firsts) == rooms


def test_the_files_that_it_names_are_there():
    named = re.findall(r"`((?:[\w]+/)+[\w.]*)`", PAGE)

    assert len(named) > 15
    missing = [n for n in named if not ((ROOT / n).exists() or (PACKAGE / n).exists())]
    assert missing == []


def test_the_tables_of_its_picture_are_in_the_audit_schema():
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    tables = set(re.findall(r"^ +(\w+) |[{|] (\w+) :", picture, re.M))
    names = {name for pair in tables for name in pair if name}

    migrations = "".join(
        p.read_text() for p in (ROOT / "plugins/feature_store/sql/audit").glob("*.sql")
    )
    assert len(names) > 10
    assert [
        n
        for n in sorted(names)
        if not re.search(rf"feature_store_audit\.{n}\b|RENAME TO {n}\b", migrations)
    ] == []


def test_each_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text())

    assert sorted(listed) == sorted(p.name for p in folder.glob("*.md") if p.name != "README.md")
