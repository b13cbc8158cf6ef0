"""The few lines that read a feature, in SQL and in Python: text for people, which a test runs."""

from __future__ import annotations

import json
import re

from psycopg import sql

from feature_store.declarations.feature_sets import Feature, FeatureSet

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def sql_lines(feature_set: FeatureSet, feature: Feature) -> str:
    """The contract, the certificate, the rows."""
    schema, relation = _quoted(feature_set.schema), feature_set.relation
    name = sql.Literal(feature_set.name).as_string()
    columns = [feature.name]
    if feature_set.served and feature_set.served.entity != feature.name:
        columns.insert(0, feature_set.served.entity)
    return (  # text for people: nothing here is run
        f"SELECT {schema}.assert_feature_contract({name});\n"  # noqa: S608
        f"SELECT * FROM {schema}.require_certified({name}, interval '30 hours');\n"
        f"SELECT {', '.join(map(_quoted, columns))} "
        f"FROM {_quoted(relation.schema)}.{_quoted(relation.relation)};"
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


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else sql.Identifier(name).as_string()


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
