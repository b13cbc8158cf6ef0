"""Plain views whose query differs from what apply recorded; no file node shows this."""

from __future__ import annotations

import psycopg

from feature_store.connection import Connection
from feature_store.relation_name import Name
from feature_store.reporting.store.models import RelationNow, RelationState
from feature_store.reporting.store.store_files import Files

# Another major version writes the same query differently.
_REPLACED = """
SELECT w.relation
FROM unnest(%s::text[], %s::text[]) AS w (relation, quoted)
INNER JOIN feature_store_audit.definition AS d ON w.relation = d.object
WHERE d.server_major = current_setting('server_version_num')::integer / 10000
    AND position(pg_get_viewdef(to_regclass(w.quoted)) IN d.live_definition) = 0
"""
_WORDS = "Somebody has replaced its query since apply: bin/feature-store plan shows how."


def replaced_views(connection: Connection, files: Files) -> frozenset[str]:
    """The names of those views; none while a refresh locks what they read."""
    names = [name for name, relation in files.relations.items() if not relation.is_refreshed]
    quoted = [Name.parse(name).quoted for name in names]
    try:
        with connection.transaction(force_rollback=True):
            # To show a view's query the server locks what it reads; do not wait for that.
            connection.execute("SET LOCAL lock_timeout = '100ms'")
            return frozenset(name for (name,) in connection.execute(_REPLACED, (names, quoted)))
    except psycopg.errors.LockNotAvailable:
        return frozenset()


def tell(relations: list[RelationNow], replaced: frozenset[str]) -> list[RelationNow]:
    """The relations, with a note on the views that were replaced."""
    return [_told(r) if r.name in replaced else r for r in relations]


def _told(relation: RelationNow) -> RelationNow:
    if relation.state is RelationState.LIVE:
        return relation.model_copy(update={"state_words": _WORDS})
    return relation.model_copy(update={"state_words": f"{relation.state_words} {_WORDS}"})
