"""The page's files: they ask nobody outside and make no HTML of data."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from feature_store.reporting.page.assets import FOLDER

OURS = sorted(
    p for p in FOLDER.iterdir() if p.suffix in (".js", ".css", ".html") and ".min." not in p.name
)
MODULES = [p for p in OURS if p.suffix == ".js"]
_MAKES_HTML_OR_CODE = re.compile(
    r"\.(innerHTML|outerHTML|insertAdjacentHTML|srcdoc)\b|document\.write|DOMParser|setHTMLUnsafe"
    r"|createContextualFragment|\beval\(|new Function|javascript:|setTimeout\(['\"`]"
)
_STYLE_OR_LISTENER_IN_MARKUP = re.compile(
    r"<[^>]+\s(style|on[a-z]+)=|<style|<script(?![^>]*\bsrc=)"
)
# Names of vocabularies, at which nobody asks for anything.
_NO_ADDRESSES = ("http://www.w3.org/2000/svg",)


def names(paths: list[Path]) -> list[str]:
    return [p.name for p in paths]


@pytest.mark.parametrize("path", OURS, ids=names(OURS))
def test_no_file_of_the_page_names_another_host(path):
    text = path.read_text()
    for name in _NO_ADDRESSES:
        text = text.replace(name, "")
    assert re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+", text) == []


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_no_module_makes_html_or_code_of_text(path):
    assert _MAKES_HTML_OR_CODE.findall(path.read_text()) == []


def test_the_page_has_no_style_and_no_script_in_its_markup():
    """The policy that it is served with would refuse them."""
    assert _STYLE_OR_LISTENER_IN_MARKUP.findall((FOLDER / "page.html").read_text()) == []


def test_modules_import_modules_that_are_there():
    imports = {
        (path.name, name)
        for path in MODULES
        for name in re.findall(r"(?:from|import\(?) ?'(\./[^']+)'", path.read_text())
    }
    assert len(imports) > len(MODULES)
    assert [pair for pair in imports if not (FOLDER / pair[1]).is_file()] == []


def test_the_page_names_every_module_so_that_a_browser_asks_for_all_of_them_at_once():
    named = re.findall(r'(?:href|src)="static/([^"]+\.js)"', (FOLDER / "page.html").read_text())
    assert sorted(named) == names(MODULES)


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_modules_are_small_and_begin_by_saying_what_they_are(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("// "), path.name
    assert len(lines) <= 250


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_modules_can_be_read(path):
    done = subprocess.run(
        ["node", "--input-type=module", "--check"],
        input=path.read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_chart_library_is_the_published_one():
    told = (FOLDER / "echarts.txt").read_text()
    name, checksum = re.search(r"SHA-256 ([0-9a-f]{64})  (\S+)", told).group(2, 1)
    content = (FOLDER / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == checksum
    version = re.search(r"Apache ECharts (\S+),", told).group(1)
    assert f'version="{version}"'.encode() in content


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("echarts.LICENSE.txt", "Apache License\n                           Version 2.0"),
        ("echarts.NOTICE.txt", "The Apache Software Foundation"),
        ("echarts.LICENSE-d3.txt", "Redistribution and use in source and binary forms"),
    ],
)
def test_the_chart_library_has_its_licence_beside_it(name, says):
    assert says in (FOLDER / name).read_text()
