"""Small charts for the report: a line without axes, as SVG to stand inside HTML."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _EDGE = 108, 24, 3
# A relation that grows by a few rows a night should look flat, so the chart's height is at least
# this share of its largest value.
_LEAST_SPAN = 0.2
# A line of zero length with round ends is a dot.
_SVG = Markup(
    '<svg role="img" class="spark" width="{width}" height="{height}" '
    'viewBox="0 0 {width} {height}" fill="none" stroke="currentColor"><title>{title}</title>'
    '<polyline points="{line}" stroke-width="1.25"></polyline>'
    '<path d="M{dot}h0" stroke-width="4.5" stroke-linecap="round"></path></svg>'
)


def sparkline(values: Sequence[float], title: str) -> Markup:
    """Values as a line, the last one with a dot.

    Args:
        values: at least one, oldest first.
        title: what the chart shows, in words, for screen readers.
    """
    top, bottom = max(values), min(values)
    span = max(top - bottom, _LEAST_SPAN * abs(top), 1e-9)
    middle = (top + bottom) / 2
    step = (_WIDTH - 2 * _EDGE) / max(len(values) - 1, 1)
    points = [
        (
            _WIDTH - _EDGE - step * (len(values) - 1 - place),
            _HEIGHT / 2 - (value - middle) / span * (_HEIGHT - 2 * _EDGE),
        )
        for place, value in enumerate(values)
    ]
    return _SVG.format(
        width=_WIDTH,
        height=_HEIGHT,
        title=title,
        line=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        dot=" ".join(f"{at:.1f}" for at in points[-1]),
    )
