"""Columns that one file of a store names and another lacks, as far as their texts show.

What an adopted relation has besides, the database knows: `adopted_columns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.files.sql_file import SqlFile
from feature_store.declarations.known_columns import Columns, given_columns, unknown_reads
from feature_store.declarations.specifications import Specification
from feature_store.relation_name import Name
from feature_store.text_format import in_words


def column_problems(
    files: Mapping[Name, SqlFile],
    specifications: Iterable[Specification],
    sets: Iterable[FeatureSet],
    columns: Columns,
) -> Iterator[str]:
    """Name the columns that one file names and another lacks.

    Args:
        files: of the store's relations.
        specifications: of some of them.
        sets: their contracts.
        columns: of relations and sources; None, or no entry, where they are not known.
    """
    for file in files.values():
        yield from _of_query(file.path, file.query, files, columns)
        keyed = {column for key in file.unique_indexes.values() for column in key}
        yield from _lacking(file.path, keyed | file.described, file.name, columns)
    for one in specifications:
        yield from _of_query(one.path, one.query, files, columns)
        yield from _of_specification(one, columns)
    for one_set in sets:
        yield from _of_contract(one_set, columns)


def _of_query(
    path: Path, query: str, files: Mapping[Name, SqlFile], columns: Columns
) -> Iterator[str]:
    for name, column in sorted(set(unknown_reads(path, query, columns))):
        where = "" if name in files else " in sources.toml"
        yield f"{path} reads {name}.{column}, but {name} has no column {column}{where}."


def _of_specification(one: Specification, columns: Columns) -> Iterator[str]:
    given, wanted = given_columns(one.path, one.query, columns), columns.get(one.relation)
    if given is None or wanted is None:
        return
    if lacking := [column for column in wanted if column not in given]:
        yield f"{one.path} lacks {in_words(lacking)}, which {one.relation} has."
    if more := [column for column in given if column not in wanted]:
        yield f"{one.path} gives {in_words(more)}, which {one.relation} does not have."


def _of_contract(one: FeatureSet, columns: Columns) -> Iterator[str]:
    named = {feature.name for feature in one.features} | {*one.other_columns}
    yield from _lacking(one.path, named, one.relation, columns)
    if more := [column for column in columns.get(one.relation) or () if column not in named]:
        yield (
            f"{one.path}: {one.relation} has {in_words(more)}, which is neither a feature nor one "
            "of other_columns."
        )
    if one.served:
        for read in (one.served.t0, *one.served.labels):
            yield from _lacking(one.path, {read.name}, read.relation, columns)


def _lacking(path: Path, named: set[str], relation: Name, columns: Columns) -> Iterator[str]:
    known = columns.get(relation)
    if known is not None and (lacking := sorted(named - set(known))):
        yield f"{path} names {in_words(lacking)}, but {relation} has no such column."
