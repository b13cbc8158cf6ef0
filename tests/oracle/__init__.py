"""The store's relations in plain Python, from the source rows: an oracle for the SQL.

It is written from the authors' documents and the recorded semantics, never from the SQL under
test. It is meant to be clear and not fast: it loops over listings and over earlier days, which is
fine for a few hundred listings.
"""

from tests.oracle.relations import RELATIONS, Relation, compute
from tests.oracle.rows import AiRow, ImageRow, Listing, Sources

__all__ = ["RELATIONS", "AiRow", "ImageRow", "Listing", "Relation", "Sources", "compute"]
