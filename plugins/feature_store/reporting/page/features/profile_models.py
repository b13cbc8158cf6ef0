"""The page's JSON of profiles, of what was served, and of a relation's SQL."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from feature_store.reporting.store.models import Plain


class ProfiledSet(Plain):
    """The latest profile of a feature set."""

    feature_set: str
    dag_id: str
    run_id: str
    as_of_day: date
    rows: int | None
    sampled: int | None = Field(description="Rows in the sample for distinct values and quantiles.")
    month: date | None = Field(description="The newest month of t0 with enough rows.")
    before: date | None = Field(description="The certified month that it is compared with.")
    problem: str | None = Field(description="Why there was no profile, if so.")


class FeatureTrend(Plain):
    """A feature over the last nights, oldest first."""

    feature_set: str
    name: str
    nulls: list[float] = Field(description="Share of rows without a value, night by night.")
    null_rows: int | None = Field(
        description="Rows without a value in the last of these nights; null if none has counted."
    )
    drift: list[float | None] = Field(
        description="Of the newest month to the one before it, 0 to 1, night by night."
    )
    usual: float | None = Field(description="The largest such drift of the months before.")
    drift_stamp: float | None = Field(description="Of all rows to those of the stamp.")
    drifted: bool = Field(description="Whether either is beyond the store's thresholds.")


class Profiles(Plain):
    """The share of NULLs and the drift of all features."""

    since: date
    sets: list[ProfiledSet]
    served: list[str] = Field(description="Sets in which the page's role may look up entities.")
    features: list[FeatureTrend]


class Bin(Plain):
    """Values that are counted together."""

    label: str
    now: float = Field(description="Share of all rows.")
    then: float = Field(description="The same in the first run under the contract's stamp.")


class MonthLine(Plain):
    """A feature in the rows of one month of t0."""

    month: date
    rows: int
    nulls: int
    zeros: int | None
    least: float | None
    most: float | None
    mean: float | None
    deviation: float | None


class DriftLine(Plain):
    """A feature's drift in one run."""

    dag_id: str
    run_id: str
    as_of_day: date
    prepared_at: datetime
    drift_month: float | None
    drift_stamp: float | None


class SampledValue(Plain):
    """A value as it was served."""

    entity: str
    value: str | None


class FeatureProfile(Plain):
    """The profile of a feature, from the latest run that profiled it."""

    of: ProfiledSet | None = Field(description="null until a run has profiled it.")
    rows: int | None
    nulls: int | None
    zeros: int | None
    distinct: int | None
    least: float | None
    most: float | None
    mean: float | None
    deviation: float | None
    quantiles: dict[str, float] = Field(description="By hundredths; empty of texts.")
    bins: list[Bin] = Field(description="Low to high; of texts the most frequent. Missing last.")
    then: date | None = Field(description="The day on which the stamp's first run counted.")
    months: list[MonthLine] = Field(description="Oldest first.")
    nights: list[DriftLine] = Field(description="Oldest first.")
    usual: float | None
    drift_month: float | None
    drift_stamp: float | None
    certified: str = Field(description="As of when its rows are certified, in words.")
    lines: str = Field(description="The SQL that reads it, one transaction.")
    python: str = Field(description="The Python that reads it.")
    samples: list[SampledValue] = Field(
        description="Empty where the page's role may not read them."
    )
    samples_grant: str = Field(
        description="The SQL that would let it, where it may not; empty where it may."
    )


class RelationColumn(Plain):
    """A column of the database."""

    name: str
    type: str
    comment: str


class RelationSource(Plain):
    """What a relation is made of."""

    name: str
    label: str
    file: str = Field(description="Its file, below the store's folder.")
    sql: str
    columns: list[RelationColumn]


class ServedValue(Plain):
    """One feature of one entity."""

    feature: str
    served: str | None
    today: str | None
    differs: bool


class ServedBesideToday(Plain):
    """One entity's features, as they were served and as they are today."""

    words: str
    values: list[ServedValue]
