"""Sample data: second-hand phones as a Norwegian marketplace would list them, oddities included.

The same options give exactly the same rows on every machine. Rows are generated one by one, so that
memory does not grow with the sample. The texts, names and numbers are invented; no row is taken
from a real site.
"""

from sandbox.sample.ai_rows import ai_rows
from sandbox.sample.image_rows import image_rows
from sandbox.sample.listing_rows import listing_rows
from sandbox.sample.options import SampleOptions
from sandbox.source_tables import AI_COLUMNS, IMAGE_COLUMNS, LISTING_COLUMNS

__all__ = [
    "AI_COLUMNS",
    "IMAGE_COLUMNS",
    "LISTING_COLUMNS",
    "SampleOptions",
    "ai_rows",
    "image_rows",
    "listing_rows",
]
