"""Small charts for the report: a line without axes, as SVG to stand inside HTML."""

from __future__ import annotations

import io
from collections.abc import Sequence
from xml.etree import ElementTree

_INCHES = (1.5, 0.34)
# Any colour that nothing else has: the page gives its own, by light and by dark.
_INK = "#1f4e79"
# A relation that grows by a few rows a night shall look flat: the chart never spans less than this
# share of its largest value.
_LEAST_SPAN = 0.2
_SVG = "{http://www.w3.org/2000/svg}"


def sparkline(values: Sequence[float], title: str) -> str:
    """Values as a line, the last one with a dot.

    The same input gives the same text, which refers to nothing outside itself and carries no ids.

    Args:
        values: at least one, oldest first.
        title: what the chart says, in words; read out instead of it.
    """
    # Slow to import, so only where a report is drawn.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    top, bottom = max(values), min(values)
    span = max(top - bottom, _LEAST_SPAN * abs(top), 1e-9)
    middle = (top + bottom) / 2
    last = len(values) - 1
    figure = Figure(figsize=_INCHES)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_ylim(middle - 0.65 * span, middle + 0.65 * span)
    width = max(last, 1)
    axes.set_xlim(last - 1.05 * width, last + 0.05 * width)
    axes.plot(range(len(values)), values, color=_INK, linewidth=1.25, clip_on=False)
    # A line of no length with round ends is a dot that needs no definition elsewhere.
    axes.plot(
        [last, last],
        [values[-1]] * 2,
        color=_INK,
        linewidth=4.5,
        solid_capstyle="round",
        clip_on=False,
    )
    drawn = io.StringIO()
    with rc_context({"svg.hashsalt": "sparkline"}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(drawn, format="svg", metadata=metadata, transparent=True)
    return _for_html(drawn.getvalue(), title)


def _for_html(svg: str, title: str) -> str:
    """A stand-alone SVG file as an element of a page, which may hold many of them."""
    root = ElementTree.fromstring(svg.replace(_INK, "currentColor"))  # noqa: S314  # drawn just before, by ourselves
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{_SVG}defs":  # styles and clips that would leak into the page
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib.pop("id", None)
    root.set("role", "img")
    root.set("class", "spark")
    named = ElementTree.Element("title")
    named.text = title
    root.insert(0, named)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
