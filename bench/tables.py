"""The tables of a refresh result, as Markdown that reads well in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench import variants
from bench.figure import Figure, ratio
from bench.results import conditions, markdown_table, number
from bench.summary import SizeSummary, against_reference, read_sizes, whole_against_reference
from bench.targets import RELATIONS, Judged, judge

_PLAIN = (
    ("reference", variants.REFERENCE_PLAIN),
    ("reference, spared", variants.REFERENCE_SPARED),
    ("reference, our session", variants.REFERENCE_OURS_PLAIN),
    ("ours, plain session", variants.SQL_ALONE_PLAIN),
    ("ours as shipped", variants.SHIPPED_PLAIN),
    ("floor", variants.FLOOR),
)
_CONCURRENT = (
    ("reference", variants.REFERENCE),
    ("reference, our session", variants.REFERENCE_OURS),
    ("ours, plain session", variants.SQL_ALONE),
    ("ours as shipped", variants.SHIPPED),
    ("floor", variants.FLOOR),
)
_RATIOS = ("as shipped", "side by side", "by SQL alone", "both in our session", "reference spared")


def refresh_tables(result: dict[str, Any]) -> str:
    """All tables of a result: targets, ratios, seconds by relation, conditions."""
    sizes = read_sizes(result)
    sections = ["## Targets\n\n" + target_table(judge(sizes))]
    if any(size.given_up for size in sizes):
        sections.insert(0, _lower_bounds(result["patience"]))
    if compared := [size for size in sizes if size.has(variants.REFERENCE)]:
        sections.append("## Times faster than the reference\n\n" + _ratios(compared))
    for size in sizes:
        sections += _of_size(size)
    sections.append("## Measured on\n\n" + conditions(result))
    return "\n\n".join(sections) + "\n"


def target_table(judged: Sequence[Judged]) -> str:
    """Each target, what was observed, and the verdict."""
    rows = [
        (
            one.what,
            f"{'≥' if one.at_least else '≤'} {one.target:g}",
            number(one.observed),
            one.verdict,
        )
        for one in judged
    ]
    return markdown_table(("target", "wanted", "observed", "verdict"), rows)


def _lower_bounds(patience: float) -> str:
    return (
        f"A query of the reference's own that took longer than {patience:g} s was given up and "
        "counts as that long. What was made of it is a lower bound and begins with >."
    )


def _ratios(sizes: Sequence[SizeSummary]) -> str:
    rows = []
    labels = sorted({label for relations in RELATIONS.values() for label in relations})
    for size in sizes:
        at = f"{size.listings:,}"
        for label in labels:
            found = against_reference(size, label)
            rows.append((f"{label}, plain", at, *(number(found.get(r), 1) for r in _RATIOS)))
        for speed, words in ((False, "without speed layer"), (True, "with speed layer")):
            found = whole_against_reference(size, speed=speed)
            rows.append((f"whole {words}", at, *(number(found.get(r), 1) for r in _RATIOS)))
    return markdown_table(("what", "listings", *_RATIOS), rows)


def _of_size(size: SizeSummary) -> Iterator[str]:
    at = f"{size.listings:,} listings"
    runs = size.found["runs"]
    yield (f"## {at}: seconds, plain refreshes (median of {runs})\n\n" + _seconds(size, _PLAIN))
    yield (
        f"## {at}: seconds, read layers concurrent (median of {runs})\n\n"
        + _seconds(size, _CONCURRENT)
    )
    if whole := size.night():
        yield (
            f"Side by side, as the DAG refreshes them, all took {number(whole, 3)} s as shipped; "
            f"without the speed layer {number(size.night(speed=False), 3)} s."
        )
    yield f"## {at}: a night's other work\n\n" + _nights(size)


def _seconds(size: SizeSummary, columns: Sequence[tuple[str, variants.Variant]]) -> str:
    shown = [(words, variant) for words, variant in columns if size.has(variant)]
    rows = []
    for name in size.relations:
        cells = [number(size.seconds(variant, name), 3) for _, variant in shown]
        rows.append((size.labels[name], f"{size.found['rows'][name]:,}", *cells))
    wholes = [variant for _, variant in shown if not variant.only_own]
    for speed, words in ((True, "total"), (False, "without speed layer")):
        totals = [
            number(size.total(variant, speed=speed), 3) if variant in wholes else "–"
            for _, variant in shown
        ]
        rows.append((words, "", *totals))
    table = markdown_table(("relation", "rows", *(words for words, _ in shown)), rows)
    notes = [
        f"{size.labels[helper]} is ours alone and counts as part of "
        f"{', '.join(size.labels[s] for s in served)}."
        for helper, served in size.helpers.items()
    ]
    return "\n\n".join([table, *notes])


def _nights(size: SizeSummary) -> str:
    refresh = size.total(variants.SHIPPED)
    first = Figure(sum(size.found["checks"]["first"][0].values()))
    later = size.found["checks"]["later"][-1]
    rows = [
        (
            "the whole night as the DAG runs it: refreshes, then proofs and checks",
            size.whole_night(),
        ),
        ("a full refresh, as shipped, with the proofs that are made in it", refresh),
        ("the same without those proofs", size.refreshes()),
        *(
            (f"the same under {profile} server settings", size.total(variants.SHIPPED, profile))
            for profile in size.profiles[1:]
        ),
        ("finding that nothing changed", size.unchanged()),
        ("proofs, suites, leak gates and history, one after another", size.checks()),
        ("the same with profiles, as the DAG runs them", size.checks_in_the_dag()),
        ("profiles of the features", size.feature_profiles()),
        ("the same on the very first night", first),
    ]
    rows += [(f"of these, {step}", Figure(seconds)) for step, seconds in later.items()]
    return markdown_table(
        ("work", "seconds", "of a full refresh"),
        [(words, number(s, 3), number(ratio(s, refresh), 3)) for words, s in rows],
    )
