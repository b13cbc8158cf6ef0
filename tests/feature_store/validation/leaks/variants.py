"""Helpers of the gates' tests: a store with one relation made in another way, and what is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from feature_store.validation.leaks.gate_context import READERS, LeakFinding
from feature_store.validation.leaks.gates import check_gates
from tests.relations import D1, D3, A

LISTINGS = '"iPhone".iphone_listings'
SPAM = "ml.spam_listings_v1"

_INCLUDE = Settings().include_dir
SETS = read_feature_sets(_INCLUDE)
RULES = read_rules(_INCLUDE)
EXCEPTIONS = read_exceptions(_INCLUDE)


def found(database, store: Store, rules=RULES, exceptions=EXCEPTIONS) -> tuple[LeakFinding, ...]:
    """What the gates find in a database, without the gate of as-of sources."""
    findings = check_gates(database.connection, store, SETS, rules, exceptions)
    return tuple(finding for finding in findings if finding.gate != READERS)


def readers(database, store: Store) -> list[LeakFinding]:
    """What the gate of as-of sources finds."""
    findings = check_gates(database.connection, store, SETS, RULES, EXCEPTIONS)
    return [finding for finding in findings if finding.gate == READERS]


def remake(database, store: Store, relation: str, *edits: tuple[str, str]) -> None:
    """Make a relation anew with another query, and then all that reads it, as their files say."""
    file = store.find(relation).file
    text = file.create.text
    for old, new in edits:
        assert old in text, f"{file.path} does not hold {old!r}"
        text = text.replace(old, new, 1)
    kind = "MATERIALIZED VIEW" if file.materialized else "VIEW"
    database.run(f"DROP {kind} {relation} CASCADE")
    make_missing(database, store, {relation: text})


def make_missing(
    database, store: Store, otherwise: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Make every relation that is missing, by one of these texts or else by its file."""
    for relation in store.relations:
        name = str(relation.name)
        if database.value("SELECT to_regclass(%s)", name) is None:
            database.run(otherwise.get(name, relation.file.create.text))


def make_source_a_view(database, store: Store, query: str) -> None:
    """Replace the table of listings by a view with this query over ``"iPhone".raw``."""
    readers = (A, D1, D3, "ml.ask_daily_median_v1")
    database.run(
        f"DROP MATERIALIZED VIEW {', '.join(readers)} CASCADE",
        f"DROP VIEW {SPAM}",
        f"ALTER TABLE {LISTINGS} RENAME TO raw",
        f"CREATE VIEW {LISTINGS} AS {query}",
    )
    make_missing(database, store)


def flag_by(database, condition: str, tables: str = f"{LISTINGS} AS l") -> None:
    """Make the view of flagged listings, which E-clean reads, from another condition."""
    database.run(
        f"CREATE OR REPLACE VIEW {SPAM} AS "
        f"SELECT DISTINCT l.listing_id FROM {tables} WHERE {condition}"
    )


def words(findings: Iterable[LeakFinding], gate: str) -> list[str]:
    """The findings of one gate as text, each with its relation."""
    return [f"{f.relation}: {f.words}" for f in findings if f.gate == gate]
