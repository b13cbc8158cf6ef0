"""How fast a listing sells, apart from chance: what a time-on-market model can learn.

Everything here is a guess at how such markets work, in simple numbers. It gives features something
to find; it does not say what phones are worth.
"""

from sandbox.sample.facts import Facts, moment
from sandbox.sample.phones import RELEASED

_FASTEST, _SLOWEST = 0.02, 12.0

_DAMAGES = (1.0, 1.2, 1.6, 2.4)
"""Damage makes a phone slow to sell even where its price allows for it."""

_DEMAND = (
    ("Pro Max", 0.65),
    ("Pro", 0.8),
    ("mini", 1.6),
    ("Plus", 1.5),
    ("16e", 1.4),
    ("Air", 1.3),
)
"""Endings of models' names, with their hours as a multiple of the plain model's."""

_MONTHS = (1.15, 1.0, 0.95, 0.95, 1.0, 1.1, 1.4, 1.1, 1.25, 1.05, 0.85, 0.65)
"""From January on: presents in December, holidays in July, new phones in September."""

_PER_YEAR = 0.12
"""How much longer a phone takes for each year that its generation is old."""


def pace(facts: Facts) -> float:
    """Return how many times the hours of a fairly priced, new and whole phone a listing takes.

    Most is decided by the price against the market: the sixth power of greed.
    """
    cube = facts.greed * facts.greed * facts.greed
    created = moment(facts.created)
    years = max(0, created.toordinal() - RELEASED[facts.generation or 15]) / 365
    times = cube * cube
    times *= 1.9 - 0.001 * facts.condition
    times *= _DAMAGES[facts.damage]
    times *= next((n for ending, n in _DEMAND if facts.phone.name.endswith(ending)), 1.0)
    times *= _MONTHS[created.month - 1]
    times *= 0.85 + _PER_YEAR * years
    return max(_FASTEST, min(_SLOWEST, times))
