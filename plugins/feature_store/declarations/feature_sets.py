"""Contract files: which columns a model may read.

``include/contracts/NAME.toml`` has one feature set, row by row, and names the live relation that it
is bound to. `schema.stamps.contract_stamp` writes it to the database.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from feature_store.declarations.files.text_file import files_in
from feature_store.declarations.files.toml_fields import Fields, read_fields
from feature_store.declarations.served import Served, parse_served
from feature_store.declarations.store_profile import read_profile
from feature_store.errors import BadInput
from feature_store.relation_name import Name

DTYPES = ("int", "int4", "int8", "numeric", "float8", "text")
NOT_IN_A_NAME = frozenset("|%")
"""What the name of no feature may have."""
_HASHED_TEXTS = ("name", "dtype", "expr_sql", "leakage_rule")


@dataclass(frozen=True)
class Feature:
    """One row of a contract: the fields of the table ``feature_contract``, and two more.

    Attributes:
        owner: who answers questions about it; may be empty. Not part of the hash.
        tags: words to find it by. Not part of the hash.
    """

    ordinal: int
    name: str
    dtype: str
    expr_sql: str
    leakage_rule: str
    is_nullable: bool
    description: str
    owner: str = ""
    tags: tuple[str, ...] = ()

    @property
    def payload(self) -> str:
        """The row as it enters the hash."""
        texts = (self.name, self.dtype, self.expr_sql, self.leakage_rule)
        return "|".join((str(self.ordinal), *texts, "1" if self.is_nullable else "0"))


@dataclass(frozen=True)
class FeatureSet:
    """A contract file.

    Attributes:
        path: the file.
        name: the set's name; also the file's.
        schema: the schema whose active set it becomes if that has none.
        registry: the schema that has all feature sets.
        relation: the live relation that it is bound to.
        other_columns: columns of that relation that are not features.
        integer_columns: features of dtype numeric whose live column may be an integer.
        features: the rows, in order.
        served: entity, t0 and labels of its feature log; None: it has no log.
        keys: features to find and join rows by, from which no model should learn.
    """

    path: Path
    name: str
    schema: str
    registry: str
    relation: Name
    other_columns: tuple[str, ...]
    integer_columns: tuple[str, ...]
    features: tuple[Feature, ...]
    served: Served | None = None
    keys: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the rows, in hex: what a stamp of this file writes."""
        payload = "||".join(feature.payload for feature in self.features)
        return hashlib.sha256(payload.encode()).hexdigest()


def read_feature_sets(include_dir: Path) -> tuple[FeatureSet, ...]:
    """Read every contract file.

    Raises:
        BadInput: a file that cannot be used; the message names it and the row.
    """
    paths = files_in(include_dir / "contracts", ".toml", required=False)
    if not paths:
        raise BadInput(
            f"{include_dir / 'contracts'} has no contract. Without one, any store would pass."
        )
    registry = read_profile(include_dir).registry
    return tuple(read_feature_set(path, registry) for path in paths)


def logged_sets(include_dir: Path) -> dict[str, FeatureSet]:
    """The feature sets that have a log, by name.

    Raises:
        BadInput: a contract file that cannot be used.
    """
    return {s.name: s for s in read_feature_sets(include_dir) if s.served}


def read_feature_set(path: Path, registry: str) -> FeatureSet:
    """Read one contract file.

    Args:
        path: the file.
        registry: the schema that has the store's feature sets.

    Raises:
        BadInput: the file is malformed, empty, has a duplicate ordinal or name, ordinals that are
            not 1, 2, 3…, an unknown dtype, an unknown field, a ``|`` in a hashed field, or a ``%``
            in a name.
    """
    content = read_fields(path, _SetInFile)
    try:
        relation = Name.parse(content.relation)
        names = [row.name for row in content.features]
        served = parse_served(content.name, names, content.entity, content.t0, content.labels)
    except BadInput as error:
        raise BadInput(f"{path}: {error.problem}") from None
    feature_set = FeatureSet(
        path=path,
        name=content.name,
        schema=content.schema_name,
        registry=registry,
        relation=relation,
        other_columns=tuple(content.other_columns),
        integer_columns=tuple(content.integer_columns),
        features=tuple(_feature(row, content) for row in content.features),
        served=served,
        keys=tuple(content.keys),
    )
    _validate(feature_set)
    return feature_set


class _RowInFile(Fields):
    """A feature as a contract file writes it."""

    ordinal: int
    name: str
    dtype: str
    description: str
    expr_sql: str | None = None
    leakage_rule: str | None = None
    is_nullable: bool = True
    owner: str | None = None
    tags: list[str] = Field(default=[])


class _SetInFile(Fields):
    """A contract file, field by field."""

    name: str
    schema_name: str = Field(alias="schema")
    relation: str
    other_columns: list[str]
    integer_columns: list[str] = Field(default=[])
    leakage_rule: str
    features: list[_RowInFile]
    entity: str | None = None
    t0: str | None = None
    labels: list[str] = Field(default=[])
    keys: list[str] = Field(default=[])
    owner: str = ""
    tags: list[str] = Field(default=[])


def _feature(row: _RowInFile, of: _SetInFile) -> Feature:
    return Feature(
        ordinal=row.ordinal,
        name=row.name,
        dtype=row.dtype,
        expr_sql=row.name if row.expr_sql is None else row.expr_sql,
        leakage_rule=of.leakage_rule if row.leakage_rule is None else row.leakage_rule,
        is_nullable=row.is_nullable,
        description=row.description,
        owner=of.owner if row.owner is None else row.owner,
        tags=tuple(dict.fromkeys([*of.tags, *row.tags])),
    )


def _validate(feature_set: FeatureSet) -> None:
    path = feature_set.path
    if feature_set.name != path.stem:
        raise BadInput(
            f"{path} has the set {feature_set.name!r}; expected {path.stem!r}, as the "
            "file is called."
        )
    if not feature_set.features:
        raise BadInput(f"{path} has no features. An empty contract would allow anything.")
    _validate_rows(feature_set)
    names = {feature.name for feature in feature_set.features}
    entity = {feature_set.served.entity} if feature_set.served else set()
    for name in sorted(names | entity):
        if "%" in name:
            raise BadInput(
                f"{path}: the column {name!r}: no feature or entity may have a '%' in its name, "
                "because queries that bind values take it for a placeholder.",
                next_step=f"Give the column another name in {feature_set.relation}.",
            )
    if strangers := sorted(set(feature_set.keys) - names):
        raise BadInput(
            f"{path}: keys names {', '.join(strangers)}, which are not features of the set."
        )


def _validate_rows(feature_set: FeatureSet) -> None:
    path = feature_set.path
    ordinals: set[int] = set()
    names: set[str] = set()
    for place, feature in enumerate(feature_set.features, start=1):
        where = f"{path}, feature {place} ({feature.name})"
        if feature.ordinal in ordinals:
            raise BadInput(f"{where}: the ordinal {feature.ordinal} is used twice.")
        if feature.name in names:
            raise BadInput(f"{where}: the name {feature.name!r} is used twice.")
        if feature.ordinal != place:
            raise BadInput(f"{where}: the ordinal is {feature.ordinal}; expected {place}.")
        if feature.dtype not in DTYPES:
            raise BadInput(
                f"{where}: the dtype is {feature.dtype!r}; expected one of {', '.join(DTYPES)}."
            )
        for field in _HASHED_TEXTS:
            if "|" in getattr(feature, field):
                raise BadInput(
                    f"{where}: {field} is {getattr(feature, field)!r}; no field may contain '|', "
                    "because the hash joins fields with it."
                )
        ordinals.add(feature.ordinal)
        names.add(feature.name)
