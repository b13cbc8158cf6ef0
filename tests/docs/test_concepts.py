"""What the pages draw and define is so, and their links lead somewhere."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
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


_CHART = re.search(r"^flowchart LR\n(.*?)^```$", CONCEPTS, flags=re.MULTILINE | re.DOTALL)[1]


def _table() -> list[tuple[str, str, str]]:
    """Letter, relation and kind of refresh in each row of the page's table."""
    return re.findall(r"^\|\s*([\w-]*)\s*\| `([\w.]+)` \|.*\| ([\w ]+) \|$", CONCEPTS, re.MULTILINE)


def _relation(box: str) -> str:
    relations = {letter or name: name for letter, name, _ in _table()}
    return _SOURCES.get(box) or relations[_NAMED.get(box, box)]


def _arrows() -> set[tuple[str, str]]:
    plain = re.sub(r"[\[({]+\"[^\"]*\"[\])}]+", "", _CHART)
    found = set()
    for line in plain.splitlines():
        steps = [[one.strip() for one in step.split("&")] for step in line.split("-->")]
        found |= {(a, b) for left, right in pairwise(steps)
                  for a in left for b in right if not b.startswith("M")}  # fmt: skip
    return {(_relation(below), _relation(above)) for below, above in found}


def test_the_arrows_of_the_layers_are_what_each_of_them_reads(store_files: Store):
    arrows = _arrows()
    drawn = {name for arrow in arrows for name in arrow}
    reads = {(str(below), str(r.name)) for r in store_files.relations for below in r.reads}

    assert arrows == {read for read in reads if drawn.issuperset(read)}
    assert {str(r.name) for r in store_files.relations} - drawn == {
        name for letter, name, refresh in _table() if not letter and refresh == "plain view"
    }


def test_each_feature_set_is_drawn_at_the_relation_that_carries_it(settings: Settings):
    drawn = re.findall(r"(\w+) --> M\d\{\{\"(\w+)\"\}\}", _CHART)
    sets = read_feature_sets(settings.include_dir)

    assert {name: _relation(box) for box, name in drawn} == {s.name: str(s.relation) for s in sets}


def test_every_relation_is_in_the_table_with_its_kind_of_refresh(store_files: Store):
    words = {"blocking": "base", "concurrent": "read", "plain view": "views"}
    assert sorted((name, words[refresh]) for _, name, refresh in _table()) == sorted(
        (str(r.name), str(r.refresh)) for r in store_files.relations
    )


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
