"""Nights of small changes: what concurrent refreshes leave behind, and what autovacuum takes."""

from __future__ import annotations

import time
from typing import Any

from psycopg import sql

from bench.measure import say
from bench.reference import read_reference
from bench.scratch import Scratch
from bench.variants import SHIPPED, run_variant
from feature_store.connection import Connection, one_value
from feature_store.declarations.files.schema_rewrite import moved

# In one night one in 300 listings is new, one in 150 unsold listings is sold, one in 5,000 is
# flagged. A hash of the listing chooses them, so that every night changes other listings.
_NIGHT = """
    INSERT INTO "iPhone".iphone_listings
    SELECT (l).* FROM (
        SELECT jsonb_populate_record(
            s, jsonb_build_object(
                'listing_id', s.listing_id + %(night)s::bigint * 1000000000,
                'edited_date', n.newest + interval '1 day',
                'last_seen', n.newest + interval '1 day',
                'spam', NULL, 'sold_date', NULL, 'sold_price', NULL, 'real_sold_price', NULL
            )
        ) AS l
        FROM "iPhone".iphone_listings AS s
        CROSS JOIN (SELECT max(edited_date) AS newest FROM "iPhone".iphone_listings) AS n
        WHERE abs(hashint8(s.listing_id)::bigint) %% 300 = %(night)s AND s.listing_id < 1000000000
    ) AS new_one;
    UPDATE "iPhone".iphone_listings AS l
    SET sold_date = n.newest, sold_price = l.price, status = 'sold'
    FROM (SELECT max(edited_date) AS newest FROM "iPhone".iphone_listings) AS n
    WHERE l.sold_date IS NULL AND abs(hashint8(l.listing_id)::bigint) %% 150 = %(night)s;
    UPDATE "iPhone".iphone_listings AS l
    SET spam = 'spam'
    WHERE l.spam IS NULL AND abs(hashint8(l.listing_id)::bigint) %% 5000 = %(night)s
"""
# Autovacuum's own default threshold.
_DUE = """
    SELECT count(*) FROM pg_catalog.pg_stat_user_tables AS s
    INNER JOIN pg_catalog.pg_class AS c ON s.relid = c.oid
    WHERE s.n_dead_tup > 50 + 0.2 * greatest(c.reltuples, 0)
"""
LONGEST_WAIT = 90.0
"""Seconds that a night waits for autovacuum; a server looks once a minute by default."""


def measure_bloat(
    scratch: Scratch, nights: int, longest_wait: float = LONGEST_WAIT
) -> dict[str, Any]:
    """Refresh night by night, a few changes before each and autovacuum's turn after it.

    Returns:
        Night by night: seconds of the refresh, sizes and rows; and what the relations of the first
        and the last night would take if they were written anew.
    """
    found: list[dict[str, Any]] = []
    compact: dict[str, dict[str, int]] = {}
    reference = read_reference(scratch.store)
    with scratch.session() as connection:
        run_variant(connection, SHIPPED, reference, scratch.settings.zone)
        for night in range(1, nights + 1):
            for statement in _NIGHT.split(";"):
                connection.execute(statement.encode(), {"night": night})
            took = run_variant(connection, SHIPPED, reference, scratch.settings.zone)
            waited = _let_autovacuum(connection, longest_wait)
            found.append(
                {
                    "seconds": round(took.total, 3),
                    "autovacuum_seconds": round(waited, 1),
                    "bytes": _sizes(connection, scratch),
                }
            )
            if night in (1, nights):
                compact["first" if night == 1 else "last"] = _compact_sizes(connection, scratch)
            say(f"night {night}: {took.total:.1f} s")
    return {"nights": found, "compact": compact}


def _let_autovacuum(connection: Connection, longest: float) -> float:
    """Wait until autovacuum has nothing to do: between two nights it has a day for that."""
    started = time.monotonic()
    connection.execute("SELECT pg_stat_force_next_flush()")
    while time.monotonic() - started < longest:
        time.sleep(1)  # as often as autovacuum looks here
        if one_value(connection, _DUE) == 0:
            break
    return time.monotonic() - started


def _sizes(connection: Connection, scratch: Scratch) -> dict[str, int]:
    rows = connection.execute(
        "SELECT n, pg_total_relation_size(n::regclass) FROM unnest(%s::text[]) AS n",
        ([str(relation.name) for relation in scratch.store.refreshed],),
    ).fetchall()
    return dict(rows)


def _compact_sizes(connection: Connection, scratch: Scratch) -> dict[str, int]:
    """The size of each relation, with indexes, in a copy that was written in one go."""
    sizes = {}
    for relation in scratch.store.refreshed:
        copy = sql.Identifier("pg_temp", relation.name.relation)
        with connection.transaction(force_rollback=True):
            connection.execute(
                sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(
                    copy, relation.name.identifier
                )
            )
            for index in relation.file.indexes.values():
                connection.execute(moved(index.text, {relation.name: "pg_temp"}).encode())
            sizes[str(relation.name)] = one_value(
                connection,
                "SELECT pg_total_relation_size(%s::regclass)",
                (copy.as_string(connection),),
            )
    return sizes
