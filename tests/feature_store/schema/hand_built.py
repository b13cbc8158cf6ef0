"""A store that somebody built by hand, from the same documents, and the things that stand on it.

It has the documented names, columns, types and index names, and none of our helpers, comments or
records. The queries are ours in other words: each helper stands inside the query that needs it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from feature_store.connection import Connection
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.store_definition import Relation, Store, closure
from tests.relations import E_AI, E_CLEAN, F0, E

OWNER = "the_owner"
READER = "a_reader"

F0_WITH_IMAGES = (
    f"SELECT e.generation, e.listing_id, e.edited_date, e.model FROM {E_CLEAN} AS e WHERE EXISTS ("
    "SELECT FROM feature_store.device_image_features_unified_v1 AS u "
    "WHERE u.generation = e.generation AND u.listing_id = e.listing_id)"
)
"""An F0 that has device rows only where there are images."""

_F0_READS_IMAGES = f"""
[[exception]]
id = "f0-images"
title = "F0 chooses listings by their images"
relation = "{F0}"
reads = "feature_store.device_image_features_unified_v1"
badge = "live"
says = "image row as of the query"
reason = "It was there before us. A listing is in the device set once it has images."
[exception.taints]
iphone_device_meta_encoded_v2_model = ["gmc_seg_n"]
"""

_HELPERS = {
    "ml.spam_token_v1",
    "ml.spam_listings_v1",
    "ml.tom_speed_cohort_v1",
    "feature_store.device_color_v1",
    "feature_store.device_count_day_v1_mv",
}
_SPEED = {"ml.tom_speed_anchor_v1_mv", "ml.tom_features_v1_enriched_speed_mv"}

_GOVERNANCE = """
CREATE SCHEMA IF NOT EXISTS {0};
CREATE TABLE {0}.feature_set (
    set_id bigserial PRIMARY KEY, name text UNIQUE NOT NULL, features_hash text, n_features int,
    created_at timestamptz DEFAULT now(), author text, notes text
);
CREATE TABLE {0}.feature_contract (
    set_id bigint REFERENCES {0}.feature_set, ordinal int, feature_name text, dtype text,
    expr_sql text, leakage_rule text, window_def text, is_nullable boolean DEFAULT true,
    description text, PRIMARY KEY (set_id, ordinal)
);
CREATE TABLE {0}.feature_set_current (
    singleton_id boolean PRIMARY KEY DEFAULT true, set_id bigint REFERENCES {0}.feature_set
);
INSERT INTO {0}.feature_set (name, author) VALUES ('{1}', 'somebody');
INSERT INTO {0}.feature_contract (set_id, ordinal, feature_name, dtype)
VALUES (1, 1, 'price', 'int');
CREATE FUNCTION {0}.assert_feature_contract(p_set text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM {0}.feature_set WHERE name = p_set) THEN
        RAISE EXCEPTION 'feature_set % not found', p_set;
    END IF;
    RAISE NOTICE 'Feature contract OK';
END $$;
"""


def with_f0_declared(include_dir: Path) -> str:
    """The declared exceptions, with one more: F0 reads images."""
    return (include_dir / "exceptions.toml").read_text() + _F0_READS_IMAGES


def build_by_hand(connection: Connection, store: Store, *, speed: bool = False) -> None:
    """Build it in a database that has the sources.

    Args:
        connection: a session in autocommit mode.
        store: what our files say.
        speed: with the speed layers; else E-AI is the first document's, without their columns.
    """
    for schema, name in (
        ("ml", "tom_features_v1"),
        ("feature_store", "iphone_device_meta_encoded_v2_model"),
    ):
        connection.execute(_GOVERNANCE.format(schema, name).encode())
    for relation in store.relations:
        name = str(relation.name)
        if name in _HELPERS or (name in _SPEED and not speed):
            continue
        connection.execute(_in_other_words(store, relation, speed=speed).encode())
        for index in relation.file.indexes.values():
            connection.execute(index.text.encode())
    # One of the documents makes this index a second time, under another name.
    connection.execute(
        f"CREATE UNIQUE INDEX tom_features_v1_enriched_mv_uq ON {E} (listing_id)".encode()
    )


def _in_other_words(store: Store, relation: Relation, *, speed: bool) -> str:
    helpers = [r for r in closure(store, relation) if str(r.name) in _HELPERS]
    names = {r.name: None for r in helpers}
    inside = ", ".join(
        f"{r.name.relation} AS ({moved(r.file.query, names)})"
        for r in helpers
        if r.name in _used(store, relation)
    )
    query = moved(relation.file.query, names)
    if str(relation.name) == E_AI and not speed:
        query = re.sub(r"\s+e\.speed_\w+,", "", query)
        query = query.replace("ml.tom_features_v1_enriched_speed_mv", E_CLEAN)
    kind = "MATERIALIZED VIEW" if relation.file.materialized else "VIEW"
    start = f"WITH {inside} " if inside else ""
    return f"CREATE {kind} {relation.name} AS {start}SELECT by_hand.* FROM ({query}) AS by_hand"


def _used(store: Store, relation: Relation) -> set[Any]:
    """The helpers that a relation reads, directly or through other helpers."""
    by_name = {r.name: r for r in store.relations}
    found: set[Any] = set()
    pending = list(relation.file.reads)
    while pending:
        name = pending.pop()
        if str(name) in _HELPERS and name not in found:
            found.add(name)
            pending.extend(by_name[name].file.reads)
    return found


def stand_on_it(connection: Connection, reader: str) -> None:
    """Put on the store what users put on one: views, grants, words, an index, options."""
    for statement in (
        "CREATE SCHEMA mine",
        f"CREATE VIEW mine.prices WITH (security_barrier) AS SELECT listing_id, price, ptv_final "
        f"FROM {E_AI} WHERE price > 0",
        "CREATE VIEW mine.cheap AS SELECT listing_id FROM mine.prices WHERE ptv_final < 0.8",
        f"CREATE VIEW mine.own_rights WITH (security_invoker = true) AS SELECT * FROM {E_AI}",
        "COMMENT ON VIEW mine.prices IS 'Asked for by sales.'",
        f"GRANT SELECT ON mine.prices, {E_AI} TO {reader}",
        f"GRANT SELECT (listing_id, price) ON {E_CLEAN} TO {reader} WITH GRANT OPTION",
        f"COMMENT ON MATERIALIZED VIEW {E_AI} IS 'Read by the nightly scorer.'",
        f"COMMENT ON COLUMN {E_AI}.price IS 'In kroner.'",
        f"CREATE INDEX by_price ON {E_AI} (price) WITH (fillfactor = 70) WHERE price > 100",
        "COMMENT ON INDEX ml.by_price IS 'For the dashboard.'",
        f"ALTER MATERIALIZED VIEW {E_AI} SET (fillfactor = 90, toast.autovacuum_enabled = off)",
        f"ALTER MATERIALIZED VIEW {E_AI} ALTER COLUMN title SET STATISTICS 500",
    ):
        connection.execute(statement.encode())
