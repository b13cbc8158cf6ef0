"""What the page says of features: their lists, and one of them."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from feature_store.reporting.store.models import ExceptionLine, Plain


class FeatureLine(Plain):
    """A feature of a set, as its contract has it."""

    feature_set: str
    ordinal: int
    name: str
    dtype: str
    is_nullable: bool = Field(
        description="As in the stamped contract. No run checks it: see the counted NULLs."
    )
    description: str
    leakage_rule: str = Field(
        description="As in the stamped contract. If the badge says otherwise, the badge is right."
    )
    badge: str = Field(description="What its values know: one of the badges.")
    exceptions: list[str] = Field(description="Ids of the declared exceptions that reach it.")
    owner: str = Field(description="Who answers questions about it; empty if not declared.")
    tags: list[str]
    is_key: bool = Field(description="Rows are joined by it; no model should learn from it.")


class SetLine(Plain):
    """A feature set, as its contract has it."""

    name: str
    relation: str
    entity: str | None = Field(description="What a row is about; null if the set has no log.")


class Features(Plain):
    """All features of all sets, and their declared exceptions."""

    sets: list[SetLine] = Field(description="First the sets that carry t0 themselves.")
    features: list[FeatureLine]
    exceptions: list[ExceptionLine]
    badges: dict[str, str] = Field(description="Each badge and what it means.")


class ColumnStep(Plain):
    """A column on the way from the sources to a feature."""

    id: str = Field(description="schema.relation.column")
    relation: str
    label: str = Field(description="The relation's short name; a source's whole name.")
    column: str
    refresh: str = Field(description="base, read or views; source for a source's column.")
    level: int = Field(description="0 for a source; the same for all columns of a relation.")


class Lineage(Plain):
    """From the sources' columns to a feature, by the server's stored queries.

    Two lists: the columns that make the feature's value, and those that only choose the rows, by
    which rows are looked up, joined, filtered or sorted.
    """

    traced_at: datetime
    dag_id: str
    run_id: str
    columns: list[ColumnStep] = Field(
        description="What the value is made of, sources first, the feature itself last."
    )
    edges: list[tuple[str, str]] = Field(
        description="Ids of two of these columns: the one read, and the one made of it."
    )
    decided_by: list[ColumnStep] = Field(
        description="Columns that only choose the rows; none of the above."
    )


class NullShare(Plain):
    """How many rows a run found without a value."""

    dag_id: str
    run_id: str
    as_of_day: date
    prepared_at: datetime
    rows: int
    nulls: int


class SkewShare(Plain):
    """How many of the rows that were served differ today."""

    dag_id: str
    run_id: str
    age: str
    compared: int
    differing: int
    typical: float | None
    gone: int


class FeatureDetail(Plain):
    """One feature, whole."""

    zone: str = Field(description="The store's time zone; times are shown in it.")
    feature: FeatureLine
    badge_words: str = Field(description="What its badge means.")
    comment: str = Field(description="The comment of its column in the database.")
    relation: str
    exceptions: list[ExceptionLine]
    lineage: Lineage | None = Field(description="null until a run has traced it.")
    nulls: list[NullShare] = Field(description="Oldest first.")
    skew: list[SkewShare] = Field(description="By age, all ages first; empty if not measured.")
