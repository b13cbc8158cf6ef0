"""What the pages draw and define is so, and their links lead somewhere."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from feature_store.declarations.store_definition import Store
from tests.docs.pages import PAGES

ROOT = Path(__file__).resolve().parents[2]
CONCEPTS = PAGES["concepts.md"]
_SOURCES = {
    "L": "iPhone.iphone_listings",
    "AI": "iPhone.iphone_ai_enrich",
    "I": "feature_store.device_image_features_unified_v1",
}
_NAMED = {
    "EC": "E-clean",
    "ES": "E-speed",
    "EA": "E-AI",
    "N": "feature_store.device_count_day_v1_mv",
}


def _relations() -> dict[str, str]:
    """The relation of each letter, from the page's table."""
    rows = re.findall(r"^\|\s*([\w-]*)\s*\| `([\w.]+)` \|", CONCEPTS, flags=re.MULTILINE)
    return {letter or name: name for letter, name in rows}


def _arrows() -> list[tuple[str, str]]:
    (chart,) = re.findall(r"^flowchart LR\n(.*?)^```$", CONCEPTS, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"[\[({]+\"[^\"]*\"[\])}]+", "", chart)
    found = []
    for line in plain.splitlines():
        steps = [[one.strip() for one in step.split("&")] for step in line.split("-->")]
        found += [(a, b) for left, right in pairwise(steps)
                  for a in left for b in right]  # fmt: skip
    return [(a, b) for a, b in found if not b.startswith("M")]


@pytest.mark.parametrize(("below", "above"), _arrows())
def test_an_arrow_of_the_layers_is_read_so(store_files: Store, below: str, above: str):
    relations = _relations()
    wanted = _SOURCES.get(below) or relations[_NAMED.get(below, below)]
    relation = store_files.find(relations[_NAMED.get(above, above)])
    assert wanted in {str(name) for name in relation.reads}


def test_every_relation_is_in_the_table(store_files: Store):
    assert set(_relations().values()) == {str(r.name) for r in store_files.relations}


def test_the_glossary_has_at_most_thirty_words_of_one_sentence_each():
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGES["glossary.md"], flags=re.MULTILINE)[1:]
    words = [word for word, _ in rows]
    assert words == sorted(words)
    assert len(words) <= 30
    for word, meaning in rows:
        assert re.fullmatch(r"[A-Z][^.]*\.", meaning.replace("t₀'s", "")), word


def test_a_word_of_the_glossary_is_one_that_people_meet():
    pages = {name: text for name, text in PAGES.items() if name != "glossary.md"}
    said = " ".join([*pages.values(), (ROOT / "SECURITY.md").read_text()]).lower()
    rows = re.findall(r"^\| (.+?) \| .+? \|$", PAGES["glossary.md"], flags=re.MULTILINE)[1:]
    assert [w for w in rows if not re.search(rf"\b{re.escape(w.lower())}", said)] == []


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=str)
def test_a_link_leads_to_a_page_and_a_heading_that_are_there(path: Path):
    for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", path.read_text()):
        page = path.parent / target if target else path
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor[1:] in slugs, f"{target}{anchor}"
