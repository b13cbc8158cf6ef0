"""The report of a run: what it tells, in which order, and that it is safe to open."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
from html.parser import HTMLParser

import pytest

from feature_store.audit.lease import RunKey
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.errors import BadInput, NotReady
from feature_store.proof.proving import NOTHING_TO_COMPARE
from feature_store.reporting.report.render import file_name, render_report, write_report
from feature_store.reporting.run.read import latest_run, read_record
from feature_store.reporting.run.refreshes import HISTORY
from feature_store.settings import Settings

_EXCEPTIONS = read_exceptions(Settings().include_dir)
_DAG = "feature_store_refresh"
_RUN = "scheduled__2026-06-30T01:20:00+00:00"
_EVIL = "<script>alert('x')</script>"
_SUITES = ("uniqueness", "spam_absence", "as_of_counts")
_VOID = {"meta", "wbr", "br"}


class Page(HTMLParser):
    """Reads a page strictly: every element must be closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(f"{tag} ")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += data
        if "style" not in self.open:
            self.words.append(data)

    def section(self, heading: str) -> str:
        """The text between a second-level heading and the next."""
        start = self.text.index(f" {heading} ", self.text.index("What failed") - 2)
        following = [h[3:] for h in self.headings if h.startswith("h2 ")]
        after = following[following.index(heading) + 1 :]
        end = self.text.index(f" {after[0]} ", start) if after else len(self.text)
        return self.text[start:end]


@pytest.fixture
def store(scratch):
    """A store with one run, whose events a test writes by hand."""

    class Written:
        connection = scratch.connection

        def run_row(self, run=_RUN, verdict=None, prepared="2026-06-30 01:20", zone="Europe/Oslo"):
            self.connection.execute(
                "INSERT INTO feature_store_audit.run VALUES (%s, %s, 'scheduled', '2026-06-29', "
                "%s, %s::timestamptz, '18.1', %s::text, CASE WHEN %s::text IS NOT NULL "
                "THEN %s::timestamptz + interval '75 s' END)",
                (_DAG, run, zone, prepared, verdict, verdict, prepared),
            )

        def refreshed(self, relation="ml.a", run=_RUN, rows=5, at="2026-06-30 01:20:10"):
            self.connection.execute(
                "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, mode, "
                "row_count, bytes, seconds, snapshot, zone, started_at, finished_at) "
                "VALUES (%s, %s, %s, 1, 'blocking', %s, 2500000, 1.5, '1:1:', 'UTC', %s, %s)",
                (relation, _DAG, run, rows, at, at),
            )

        def found(self, name, outcome="met", severity="critical", suite="uniqueness", **more):
            self.connection.execute(
                "INSERT INTO feature_store_audit.expectation VALUES "
                "(%s, %s, %s, %s, 'ml.a', %s, %s, %s, %s, %s, 0.25, %s)",
                (
                    _DAG,
                    more.get("run", _RUN),
                    suite,
                    name,
                    severity,
                    outcome,
                    f"expected of {name}",
                    f"observed of {name}",
                    json.dumps(more.get("sample", [])),
                    more.get("at", "2026-06-30 01:20:30"),
                ),
            )

        def all_met(self):
            for suite in _SUITES:
                self.found(f"fine_{suite}", suite=suite)

        def proven(self, proof, compared=10, broken=0, sample=()):
            self.connection.execute(
                "INSERT INTO feature_store_audit.proof VALUES "
                "(%s, %s, %s, %s, %s, %s, 0.5, '2026-06-30 01:20:20')",
                (_DAG, _RUN, proof, compared, broken, json.dumps(list(sample))),
            )

        def html(self, run=_RUN):
            return render_report(read_record(self.connection, _DAG, run), _EXCEPTIONS, _SUITES)

        def page(self, run=_RUN):
            return Page(self.html(run))

    return Written()


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("passed", "Passed"), ("failed", "FAILED"), (None, "No verdict yet")],
)
def test_the_verdict_comes_first(store, verdict, word):
    store.run_row(verdict=verdict)
    store.refreshed()
    store.all_met()
    page = store.page()
    assert page.headings[0] == f"h1 {word}: feature store, as of 2026-06-29"
    assert page.text.startswith(f"{word}: feature store, 2026-06-29 {word}: feature store")
    top = page.text.partition("What failed")[0]
    assert "3 expectations: 3 met, 0 broken, 0 could not be checked, 0 warnings." in top
    assert _RUN in top
    assert "2026-06-30 03:20:00 Europe/Oslo" in top
    assert ("after 1 min 15 s" in top) == (verdict is not None)
    assert ("no longer holds the store's lease" in top) == (verdict is None)


def test_a_run_that_prepare_stopped_says_why(store):
    store.run_row(verdict="failed")
    store.connection.execute(
        "UPDATE feature_store_audit.verdict_log SET problem = %s", (f"Failed: prepare. {_EVIL}",)
    )
    page = store.page()
    failed = page.section("What failed")
    assert f"The verdict Failed: prepare. {_EVIL}" in failed
    assert "Nothing has been refreshed." in failed


def test_a_run_that_goes_on_holds_the_lease(store):
    store.run_row()
    store.connection.execute(
        "UPDATE feature_store_audit.lease SET dag_id = %s, run_id = %s", (_DAG, _RUN)
    )
    assert "The run still holds the store's lease." in store.page().text


def test_broken_unchecked_and_warnings_are_told_apart(store):
    store.run_row(verdict="failed")
    store.refreshed()
    store.all_met()
    store.found("twice", "broken", sample=[{"listing_id": 7, "found": None}])
    store.found("unknown", "error")
    store.found("odd", "broken", "warning", sample=[{"token": "maybe"}])
    page = store.page()
    failed, unchecked, warnings = (
        page.section(h) for h in ("What failed", "What could not be checked", "Warnings")
    )
    assert "observed of twice" in failed
    assert "listing_id found 7 NULL" in failed
    assert "observed of unknown" in unchecked
    assert "says nothing about the data" in unchecked
    assert "maybe" in warnings
    for name, section in (("twice", failed), ("unknown", unchecked), ("odd", warnings)):
        others = {"twice", "unknown", "odd"} - {name}
        assert not any(f"observed of {other}" in section for other in others)
    table = page.section("Every expectation")
    for word in ("BROKEN", "NOT CHECKED", "warning", "met"):
        assert f" {word} " in table
    assert table.count("expected of ") == 6


def test_at_most_twenty_sample_rows_are_shown(store):
    store.run_row(verdict="failed")
    store.found("many", "broken", sample=[{"listing_id": 9000 + n} for n in range(40)])
    shown = re.findall(r"\b90\d\d\b", store.page().section("What failed"))
    assert shown == [str(9000 + n) for n in range(20)]


def test_a_broken_proof_shows_what_the_proof_found(store):
    store.run_row(verdict="failed")
    name = "ml.a"
    row = {"key": {"listing_id": 7}, "expected": {"n": 1}, "observed": {"n": None}}
    store.proven(name, 1865, 37, [row])
    store.proven("ml.a.of_no_expectation", 1865, 5)
    store.proven("ml.a.empty", 0)
    store.found(name, "broken", suite="as_of_counts", sample=[{"broken": 37, "compared": 1865}])
    store.found("ml.a.empty", "met", suite="as_of_counts")
    page = store.page()
    failed = page.section("What failed")
    assert "37 of 1,865 rows compared differ" in failed
    assert "listing_id n 7 NULL, not 1" in failed
    proofs = page.section("Proofs").replace(". ", ".").replace("_ ", "_")
    assert f"{name} DIFFERS 1,865 37 0.50" in proofs
    assert "of_no_expectation" not in proofs, "no result, as the suite did not come to its end"
    assert f"ml.a.empty {NOTHING_TO_COMPARE} 0 0" in proofs


def test_of_a_broken_proof_each_row_shows_only_what_differs_in_it(store):
    store.run_row(verdict="failed")
    rows = [
        {"key": {"listing_id": 7}, "expected": {"n": 1, "m": 2}, "observed": {"n": None, "m": 2}},
        {"key": {"listing_id": 8}, "expected": {"n": 1, "m": 2}, "observed": {"n": 1, "m": 3}},
    ]
    store.proven("ml.a", 1865, 2, rows)
    store.found("ml.a", "broken", suite="as_of_counts", sample=[{"broken": 2, "compared": 1865}])
    cells = re.findall(r'<td class="value">(.*?)</td>', store.html())
    assert cells == ["7", "NULL, not 1", "", "8", "", "3, not 2"]


def test_it_has_a_dark_mode_in_which_every_colour_is_another(store):
    store.run_row(verdict="passed")
    store.refreshed()
    html = store.html()
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w+);", block))
        for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    )
    assert light.keys() == dark.keys()
    assert not [name for name in light if light[name] == dark[name]]
    assert "screen and (prefers-color-scheme: dark)" in html, "and paper stays white"
    rest = re.sub(r":root \{.*?\}", "", html, flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-f]{3,6}\b", rest), "no colour beside these, in charts neither"


def test_every_value_is_escaped(store):
    run = f"manual{_EVIL}"
    store.run_row(run=run, verdict="failed")
    store.refreshed(f"ml.{_EVIL}", run)
    store.found(
        _EVIL, "broken", run=run, suite=_EVIL, sample=[{_EVIL: _EVIL, "n": {_EVIL: [_EVIL]}}]
    )
    html = store.html(run)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert Page(html).text.count(_EVIL) >= 6


def test_nothing_outside_the_file_is_referred_to(store):
    store.run_row(verdict="passed")
    store.refreshed()
    store.all_met()
    html = store.html()
    assert "://" not in html
    assert not re.search(r"url\(|@import|javascript:", html)
    page = Page(html)
    assert not [a for _, attrs in page.tags for a in attrs if a in ("src", "href", "xlink:href")]
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe")]
    assert "default-src 'none'" in html


def test_the_page_is_accessible(store):
    store.run_row(verdict="passed")
    store.refreshed()
    store.all_met()
    store.found("odd", "broken", "warning", sample=[{"token": "maybe"}])
    page = store.page()
    assert ("html", {"lang": "en"}) in page.tags
    assert [attrs for tag, attrs in page.tags if tag == "th" and "scope" not in attrs] == []
    levels = [int(heading[1]) for heading in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(charts) == 3
    assert {chart["role"] for chart in charts} == {"img"}
    assert "ml.a, rows over 1 refresh: between 5 and 5, last 5" in page.text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_same_facts_give_the_same_file(store):
    store.run_row(verdict="passed")
    store.refreshed()
    store.all_met()
    assert store.html() == store.html()


def test_file_and_page_say_the_same_of_the_run_and_when_the_rest_is_from(store, tmp_path):
    store.run_row(verdict="passed")
    store.refreshed()
    store.all_met()
    path = write_report(store.connection, RunKey(_DAG, _RUN), tmp_path, _EXCEPTIONS, _SUITES)
    store.connection.execute(
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
        "run_id, latest_dag_id, latest_run_id) VALUES ('review', 'A', 'ml.a', '2026-01-02', "
        "'x', 'later', 'x', 'later')"
    )
    file, page = Page(path.read_text(encoding="utf-8")), store.page()
    assert file.section("History") != page.section("History")
    of_run = ("What failed", "What could not be checked", "Every expectation", "Proofs")
    for heading in (*of_run, "Relations", "Warnings"):
        assert file.section(heading) == page.section(heading)
    for shown in (file, page):
        top = shown.text.partition("What failed")[0]
        assert "as of when this was written; the page writes it when you open it" in top


def test_the_history_is_of_the_last_thirty_refreshes_until_the_run(store):
    for night in range(1, 41):
        store.refreshed(rows=night, run=f"night {night}", at=f"2026-05-01 {night // 2}:{night % 2}")
    store.run_row(verdict="passed")
    store.refreshed(rows=100)
    store.refreshed(rows=999, run="later", at="2026-07-01")
    (history,) = read_record(store.connection, _DAG, _RUN).refreshes
    assert [r.row_count for r in history] == [*range(12, 41), 100]
    assert len(history) == HISTORY
    assert [r.of_run for r in history] == [False] * 29 + [True]
    relations = store.page().section("Relations")
    assert "rows over the last 30 refreshes: between 12 and 100, last 100" in relations
    assert "100 +60" in relations


def test_a_relation_that_the_run_did_not_refresh_is_named(store):
    store.connection.execute(
        "INSERT INTO feature_store_audit.definition "
        "(object, file_definition, live_definition, dictionary) VALUES ('ml.left', '', '', '')"
    )
    store.refreshed("ml.left", "before", at="2026-06-29 01:20")
    store.run_row(verdict="failed")
    store.refreshed("ml.done")
    page = store.page()
    failed = page.section("What failed").replace(". ", ".")
    assert "readers see the rows of an earlier refresh: ml.left, last refreshed" in failed
    assert "ml.done" not in failed
    assert "No result of the suites uniqueness, spam_absence, as_of_counts" in page.text


def test_a_run_without_any_refresh(store):
    store.run_row(verdict="failed")
    page = store.page()
    assert "No expectation has been checked." in page.text
    assert "Nothing has been refreshed." in page.section("What failed")
    assert "None has been refreshed." in page.section("Relations")
    assert "None has been run." in page.section("Proofs")


def test_a_failure_of_the_contract_is_not_called_nothing(store):
    store.run_row(verdict="failed")
    store.refreshed()
    store.all_met()
    assert "The run failed at its contracts" in store.page().section("What failed")


def test_results_of_an_earlier_try_are_left_out(store):
    store.run_row()
    store.found("old", at="2026-06-30 01:20:05")
    store.refreshed(at="2026-06-30 01:20:10")
    store.found("new", suite="spam_absence")
    facts = read_record(store.connection, _DAG, _RUN)
    assert [e.expectation for e in facts.findings] == ["new"]
    assert facts.outdated == 1
    unchecked = store.page().section("What could not be checked")
    assert "1 result of an earlier try" in unchecked
    assert "uniqueness, as_of_counts" in unchecked


def test_what_the_refreshes_saw_and_the_contracts(store):
    store.run_row(verdict="passed")
    store.refreshed()
    store.connection.execute(
        "INSERT INTO feature_store_audit.fact SELECT refresh_id, 'unknown spam tokens', 1234, %s "
        "FROM feature_store_audit.refresh",
        (json.dumps([{"token": "usikker"}]),),
    )
    store.connection.execute(
        "INSERT INTO ml.feature_set (name, features_hash, n_features) "
        "VALUES ('stamped', 'abc123', 51), ('not_yet', NULL, NULL)"
    )
    page = store.page()
    seen = page.section("What the refreshes saw of the sources")
    assert "1,234 unknown spam tokens" in seen
    assert "usikker" in seen
    contracts = page.section("Contracts")
    assert "not_yet Bound to no relation n not stamped Hash not stamped" in contracts
    assert "stamped Bound to no relation n 51 Hash abc123" in contracts
    declared = page.section("Declared exceptions")
    for column in ("ask_median_price", "ask_cnt", "ptv_ask_day", "ptv_final", "ai_", "F1 and F3"):
        assert column in declared


def test_an_unknown_run_is_answered_with_the_latest(store):
    for day in range(1, 8):
        store.run_row(run=f"run {day}", prepared=f"2026-06-0{day}")
    with pytest.raises(BadInput, match=r"No run 'nope' of some_dag is recorded") as caught:
        read_record(store.connection, "some_dag", "nope")
    assert re.findall(r"run \d", caught.value.next_step) == [f"run {n}" for n in (7, 6, 5, 4, 3)]
    assert latest_run(store.connection) == (_DAG, "run 7")


def test_no_run_yet_and_no_store_yet(store, scratch_sources):
    with pytest.raises(NotReady, match="No run has been recorded"):
        latest_run(store.connection)
    with pytest.raises(NotReady, match="has not been created"):
        read_record(scratch_sources.connection, _DAG, _RUN)


@pytest.mark.parametrize("run", ["../../etc/passwd", "a:b?*", ".", "", "é" * 300, "\\\0\n", "CON"])
def test_a_file_name_is_safe_for_any_run(run):
    name = file_name(RunKey(_DAG, run))
    assert re.fullmatch(r"report-[A-Za-z0-9-]+\.html", name)
    assert len(name) < 120


def test_two_runs_never_share_a_file():
    runs = ("a:b", "a-b", "a b", "x" * 200, "x" * 201)
    assert len({file_name(RunKey(_DAG, run)).lower() for run in runs}) == len(runs)


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(store, tmp_path):
    run = "../evil: run"
    store.run_row(run=run)
    directory = tmp_path / "new" / "reports"
    path = write_report(store.connection, RunKey(_DAG, run), directory, _EXCEPTIONS, _SUITES)
    assert "No verdict yet" in path.read_text(encoding="utf-8")
    store.connection.execute(
        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict) "
        "VALUES (%s, %s, 'passed')",
        (_DAG, run),
    )
    assert (
        write_report(store.connection, RunKey(_DAG, run), directory, _EXCEPTIONS, _SUITES) == path
    )
    assert "No verdict yet" not in path.read_text(encoding="utf-8")
    assert list(directory.iterdir()) == [path]


def test_a_report_is_for_the_account_alone_that_wrote_it(store, tmp_path):
    store.run_row()
    before = os.umask(0)
    try:
        path = write_report(
            store.connection, RunKey(_DAG, _RUN), tmp_path / "new", _EXCEPTIONS, _SUITES
        )
    finally:
        os.umask(before)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path)] == [0o700, 0o600]


def test_a_directory_that_cannot_be_written_is_named(store, tmp_path):
    store.run_row()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BadInput, match=re.escape(str(blocked))):
        write_report(
            store.connection, RunKey(_DAG, _RUN), blocked / "reports", _EXCEPTIONS, _SUITES
        )
