"""Columns that adopted relations have besides their files': nothing proves them.

They are their owner's, and harmless as long as no file, specification or contract of the store
reads one. A specification of an adopted relation must give all columns of its file, though: the
relation itself would not show that one is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import psycopg

from feature_store.audit.adopted import adopted_relations
from feature_store.connection import Connection
from feature_store.database.query_columns import columns_by_files, expected_columns
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.specifications import Specification
from feature_store.declarations.store_definition import Store, closure
from feature_store.errors import BadInput, passes_on_its_own
from feature_store.relation_name import Name
from feature_store.text_format import in_words


def unproven_columns(
    connection: Connection, store: Store, sets: Collection[FeatureSet]
) -> list[str]:
    """Name what reads a column that no file gives, and what does not prove a column of a file.

    Args:
        connection: a pinned session. Every relation exists.
        store: what the files say.
        sets: its contracts.
    """
    adopted = adopted_relations(connection)
    concerned = [r for r in store.relations if adopted & {str(b.name) for b in closure(store, r)}]
    given: dict[Name, Mapping[str, str]] = {}
    problems = []
    for relation in concerned:
        try:
            given[relation.name] = expected_columns(connection, store, relation)
        except BadInput as error:
            problems.append(error.problem)
            continue
        if specification := relation.specification:
            problems += _lacking(connection, store, specification, given[relation.name])
    return [*problems, *(words for one in sets for words in _named(one, given))]


def _lacking(
    connection: Connection, store: Store, specification: Specification, wanted: Mapping[str, str]
) -> list[str]:
    try:
        found = columns_by_files(connection, store, specification.query, specification.reads)
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise
        return [
            f"{specification.path} cannot be run on the columns that the files give: "
            f"{error.diag.message_primary}."
        ]
    lacking = [column for column in wanted if column not in found]
    return [f"{specification.path}: it lacks {in_words(lacking)}."] if lacking else []


def _named(one: FeatureSet, given: Mapping[Name, Mapping[str, str]]) -> Iterator[str]:
    named = [(one.relation, feature.name) for feature in one.features]
    named += [(one.relation, column) for column in one.other_columns]
    named += [(c.relation, c.name) for _, c in (one.served.columns if one.served else ())]
    for relation, column in named:
        if relation in given and column not in given[relation]:
            yield (
                f"{one.path} names {column} of {relation}, which no file gives, so that nothing "
                "proves it."
            )
