"""Words that were given up do not come back where people read (docs/decisions/words.md).

The record's tables keep their names, so code, and what stands in code marks, is not read.
"""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.docs.pages import ROOT

_PACKAGE = ROOT / "plugins" / "feature_store"
_REPORTING = _PACKAGE / "reporting"
_STATIC = _REPORTING / "page" / "static"

# By the word that is said instead.
_RETIRED = {
    "revoked": r"withdr[ae]w\w*",
    "drifted": r"altered live",
    "outdated": r"file changed",
    "history check": r"judge?ments?",
    "lineage": r"provenance|origins",
    "rewritten for a schema": r"requalif\w+",
    "witness": r"observations?",
    "spam that a refresh saw": r"spam_seen",
    "what a run saw of a finding": r"sightings?",
    "changed by hand": r"interferences?",
    "bound relation": r"carriers?",
    "inherited": r"hand(?:s|ed|ing)? down",
    "exception": r"ai findings?|kind 'ai'",
}
# An outcome is a label: of an expectation it is a result, of a review a resolution.
_OF_RUNS = {**_RETIRED, "result, resolution": r"outcomes?"}


def _found(text: str, retired: dict[str, str]) -> list[str]:
    return [
        f"{match[0]}: say {instead}"
        for instead, word in retired.items()
        for match in re.finditer(rf"\b(?:{word})\b", text, flags=re.IGNORECASE)
    ]


def _without_code(text: str) -> str:
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def _strings(path: Path) -> str:
    """What a module says: its texts, without docstrings, names and SQL."""
    tree = ast.parse(path.read_text())
    docs = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    sql = re.compile(r"feature_store_audit|\b(?:AND|WHERE|SELECT)\b")
    return "\n".join(one for one in texts - docs if " " in one and not sql.search(one))


def _models() -> list[type[BaseModel]]:
    """What the page answers with, whatever room the modules are in."""
    names = [
        ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
        for path in _REPORTING.rglob("*models.py")
    ]
    return [
        kind
        for module in map(import_module, names)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not BaseModel
    ]


_DOCS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md")
    for path in ROOT.glob(pattern)
    # The change log and the upgrades tell of older versions, and the decision lists the words.
    if path.name not in ("CHANGELOG.md", "upgrades.md", "words.md")
]
_TEMPLATES = [*_REPORTING.rglob("*.jinja"), *_STATIC.glob("*.html")]
_SCRIPTS = [path for path in _STATIC.glob("*.js") if path.name != "echarts.min.js"]
_SAY = [
    *(_PACKAGE / "cli").glob("*.py"),  # the words of --help are there
    *(_REPORTING / "mail").glob("*.py"),
    *(_REPORTING / "run").glob("*.py"),
    *_REPORTING.glob("*.py"),
]


@pytest.mark.parametrize("path", _DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_says_a_word_that_was_given_up(path: Path):
    assert _found(_without_code(path.read_text()), _RETIRED) == []


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_no_mail_and_no_report_says_one(path: Path):
    said = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    assert _found(said, _OF_RUNS) == []


def test_no_script_of_the_page_says_one():
    assert {p.name: found for p in _SCRIPTS if (found := _found(p.read_text(), _OF_RUNS))} == {}


def test_neither_the_command_line_nor_status_nor_a_mail_says_one():
    assert {p.name: found for p in _SAY if (found := _found(_strings(p), _OF_RUNS))} == {}


def test_no_answer_of_the_page_names_or_describes_a_field_by_one():
    schemas = {kind.__name__: json.dumps(kind.model_json_schema()) for kind in _models()}
    assert len(schemas) > 20
    assert {n: found for n, said in schemas.items() if (found := _found(said, _OF_RUNS))} == {}
