"""The store's relations in plain Python, from the source rows: an oracle for the SQL.

Written from the authors' documents and the recorded semantics, never from the SQL under test,
and for clarity: it loops over listings and over earlier days. A few hundred listings are fine.
"""

from tests.oracle.relations import RELATIONS, Relation, compute
from tests.oracle.rows import AiRow, ImageRow, Listing, Sources

__all__ = ["RELATIONS", "AiRow", "ImageRow", "Listing", "Relation", "Sources", "compute"]
