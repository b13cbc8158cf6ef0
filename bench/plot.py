"""Seconds against size: ours, the reference and the floor, as one drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import variants
from bench.figure import Figure as Seconds
from bench.summary import SizeSummary
from bench.variants import Variant

_LINES = (
    ("reference", variants.REFERENCE, variants.REFERENCE_PLAIN, "#b2452f", "s"),
    ("ours", variants.SHIPPED, variants.SHIPPED_PLAIN, "#1f4e79", "o"),
    ("ours, side by side", variants.NIGHT, None, "#5b9bd5", "D"),
    ("floor", variants.FLOOR, variants.FLOOR, "#7a7a7a", "^"),
)
_PANELS = ("E", "F2", "D4")


def draw(sizes: Sequence[SizeSummary], path: Path) -> None:
    """Draw the whole refresh and the three relations with a reference of their own, log-log.

    Args:
        sizes: ascending.
        path: an SVG file, replaced.
    """
    # Slow to import, so only when something is drawn.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, 1 + len(_PANELS))
    for axes, label in zip(panels, (None, *_PANELS), strict=True):
        for words, whole, plain, color, marker in _LINES:
            found = [(size.listings, _seconds(size, label, whole, plain)) for size in sizes]
            points = [(at, seconds.value) for at, seconds in found if seconds]
            if points:
                axes.plot(*zip(*points, strict=True), color=color, marker=marker, label=words)
            for at, seconds in found:
                if seconds and seconds.lower_bound:
                    axes.annotate(
                        "at least", (at, seconds.value), (0, -14), textcoords="offset points",
                        ha="center", fontsize="small", color=color,
                    )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="listings", title=label or "whole refresh")
        axes.grid(visible=True, which="major", alpha=0.3)
    panels[0].set_ylabel("seconds")
    panels[0].legend()
    with rc_context({"svg.hashsalt": "bench"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def _seconds(
    size: SizeSummary, label: str | None, whole: Variant, plain: Variant | None
) -> Seconds | None:
    """The figure of the whole if no relation is named; some variants have no single relations."""
    if label is None:
        return size.total(whole)
    return size.seconds(plain, size.name(label) or "") if plain else None
