"""The names of relations in tables: the letters of the documents."""

from __future__ import annotations

import re

from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.store_definition import Relation

# Left out of the whole "without the speed layer", which the documents do not define.
SPEED_LAYER = ("D4", "E-speed")


def label(relation: Relation) -> str:
    """The documents' letter for a relation, else its name without the schema."""
    path = relation.file.path
    words = read_header(path, path.read_text(encoding="utf-8"), ("Relation",))["Relation"]
    letter = re.match(r"\S+ \((\w[\w-]*)\)", words)
    return letter[1] if letter else relation.name.relation
