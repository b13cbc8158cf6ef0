"""Contract files: which columns a model may read.

``include/contracts/NAME.toml`` holds one feature set, row by row, and names the live relation that
carries it. `stamps` brings it into the database.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from feature_store.errors import BadInput
from feature_store.names import Name

DTYPES = ("int", "int4", "int8", "numeric", "float8", "text")
_HASHED_TEXTS = ("name", "dtype", "expr_sql", "leakage_rule")


@dataclass(frozen=True)
class Feature:
    """One row of a contract. The fields are those of the table ``feature_contract``."""

    ordinal: int
    name: str
    dtype: str
    expr_sql: str
    leakage_rule: str
    is_nullable: bool
    description: str

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
        schema: the schema whose governance tables hold it.
        relation: the live relation that carries it.
        other_columns: columns of that relation that are no features.
        integer_columns: features of dtype numeric whose live column may be an integer.
        features: the rows, in order.
    """

    path: Path
    name: str
    schema: str
    relation: Name
    other_columns: tuple[str, ...]
    integer_columns: tuple[str, ...]
    features: tuple[Feature, ...]

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
    paths = sorted((include_dir / "contracts").glob("*.toml"))
    return tuple(read_feature_set(path) for path in paths)


def read_feature_set(path: Path) -> FeatureSet:
    """Read one contract file.

    Raises:
        BadInput: the file is malformed, empty, has a duplicate ordinal or name, ordinals that are
            not 1, 2, 3…, an unknown dtype, or a ``|`` in a hashed field.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        rule = content["leakage_rule"]
        features = tuple(
            Feature(
                ordinal=row["ordinal"],
                name=row["name"],
                dtype=row["dtype"],
                expr_sql=row.get("expr_sql", row["name"]),
                leakage_rule=row.get("leakage_rule", rule),
                is_nullable=row.get("is_nullable", True),
                description=row["description"],
            )
            for row in content["features"]
        )
        feature_set = FeatureSet(
            path=path,
            name=content["name"],
            schema=content["schema"],
            relation=Name.parse(content["relation"]),
            other_columns=tuple(content["other_columns"]),
            integer_columns=tuple(content.get("integer_columns", ())),
            features=features,
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise BadInput(f"{path}: the field {error.args[0]!r} is missing.") from None
    _validate(feature_set)
    return feature_set


def _validate(feature_set: FeatureSet) -> None:
    path = feature_set.path
    if feature_set.name != path.stem:
        raise BadInput(f"{path} holds the set {feature_set.name!r}; its name says {path.stem!r}.")
    if not feature_set.features:
        raise BadInput(f"{path} has no features; an empty contract would allow anything.")
    ordinals: set[int] = set()
    names: set[str] = set()
    for place, feature in enumerate(feature_set.features, start=1):
        where = f"{path}, feature {place} ({feature.name})"
        if feature.ordinal in ordinals:
            raise BadInput(f"{where}: the ordinal {feature.ordinal} is there twice.")
        if feature.name in names:
            raise BadInput(f"{where}: the name {feature.name!r} is there twice.")
        if feature.ordinal != place:
            raise BadInput(f"{where}: the ordinal is {feature.ordinal}; expected {place}.")
        if feature.dtype not in DTYPES:
            raise BadInput(
                f"{where}: the dtype is {feature.dtype!r}; expected one of {', '.join(DTYPES)}."
            )
        for field in _HASHED_TEXTS:
            if "|" in getattr(feature, field):
                raise BadInput(
                    f"{where}: {field} is {getattr(feature, field)!r}; the hash joins fields with "
                    f"'|', so no field may hold one."
                )
        ordinals.add(feature.ordinal)
        names.add(feature.name)
