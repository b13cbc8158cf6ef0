"""House rules that no linter checks: imports inside functions, and the length of a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.conftest import ROOT

_FILES = sorted(path for folder in ("dags", "plugins") for path in (ROOT / folder).rglob("*.py"))
_FOR_A_PROVIDER = "feature_store.operators.open_lineage"
"""Asked for by Airflow's provider alone, which may not be installed."""

_Import = ast.Import | ast.ImportFrom


def _inside(node: ast.AST) -> list[_Import]:
    return [found for found in ast.walk(node) if isinstance(found, _Import)]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _ours(imports: list[_Import]) -> list[str]:
    return [
        found.module
        for found in imports
        if isinstance(found, ast.ImportFrom) and (found.module or "").startswith("feature_store.")
    ]


def test_an_import_inside_a_function_says_why_in_the_line_above() -> None:
    for path in _FILES:
        lines = path.read_text().splitlines()
        for function in _functions(ast.parse(path.read_text())):
            imports = _inside(function)
            if imports:
                first = min(found.lineno for found in imports)
                assert lines[first - 2].strip().startswith("# "), f"{path}:{first}"
            assert len(_ours(imports)) <= 1, f"{path}: {function.name}"


def test_an_operator_brings_in_one_module_with_all_that_its_task_does() -> None:
    found = {}
    for path in (ROOT / "plugins" / "feature_store" / "operators").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name] = set(_ours(_inside(node))) - {_FOR_A_PROVIDER}
    for operator, modules in found.items():
        assert len(modules) <= 1, operator
    assert found["RefreshOperator"] == {"feature_store.operators.refresh_steps"}


def test_no_file_of_the_package_is_longer_than_300_lines() -> None:
    long = {p.name: n for p in _FILES if (n := len(p.read_text().splitlines())) > 300}
    assert long == {}
