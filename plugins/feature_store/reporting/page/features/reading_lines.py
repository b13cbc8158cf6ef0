"""The few lines that read a feature, in SQL and in Python: text for people, which a test runs."""

from __future__ import annotations

import json
import re

from psycopg import sql

from feature_store.declarations.feature_sets import Feature, FeatureSet
from feature_store.relation_name import Name

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def sql_lines(feature_set: FeatureSet, feature: Feature, zone: str, *, is_view: bool) -> str:
    """Contract, certificate and rows, in one transaction: docs/training.md says why each is needed.

    Args:
        feature_set: whose feature it is.
        feature: what to read.
        zone: the store's time zone, in which live views take the days of t0, too.
        is_view: whether the set's relation is a plain view. It is locked before the snapshot.
    """
    schema, name = _quoted(feature_set.schema), sql.Literal(feature_set.name).as_string()
    relation = f"{_quoted(feature_set.relation.schema)}.{_quoted(feature_set.relation.relation)}"
    columns = [feature.name]
    if feature_set.served and feature_set.served.entity != feature.name:
        columns.insert(0, feature_set.served.entity)
    lock = f"LOCK TABLE {relation} IN ACCESS SHARE MODE;\n" if is_view else ""
    return (  # text for people: nothing here is run
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"  # noqa: S608
        f"SET LOCAL TIME ZONE {sql.Literal(zone).as_string()};\n"
        f"{lock}"
        f"SELECT FROM {relation} LIMIT 0;\n"
        f"SELECT {schema}.assert_feature_contract({name});\n"
        f"SELECT * FROM {schema}.require_certified({name}, interval '30 hours');\n"
        f"SELECT {', '.join(map(_quoted, columns))} FROM {relation};\n"
        "COMMIT;"
    )


def python_lines(feature_set: FeatureSet, feature: Feature) -> str:
    """The same by the client, which asks for contract and certificate: now, and as served."""
    served = feature_set.served
    # The entity comes by itself, as the table's index.
    columns = [] if served and served.entity == feature.name else [feature.name]
    wanted = f'"", {_text(feature_set.name)}, columns=[{", ".join(map(_text, columns))}]'
    functions = "read_features, read_training_set" if served else "read_features"
    lines = [
        f"from feature_store.client import {functions}",
        f"now = read_features({wanted})",
    ]
    if served:
        lines.append(f"served = read_training_set({wanted})")
    return "\n".join(lines)


def grant_lines(log: Name, role_prefix: str) -> str:
    """What lets the page's role show values as they were served; for the administrator."""
    role = _quoted(f"{role_prefix}_page")
    return (
        f"GRANT USAGE ON SCHEMA {_quoted(log.schema)} TO {role};\n"
        f"GRANT SELECT ON {_quoted(log.schema)}.{_quoted(log.relation)} TO {role};"
    )


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else sql.Identifier(name).as_string()


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
