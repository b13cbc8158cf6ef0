"""Features: what each is, its exceptions, and its share of NULLs run by run."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.rows import class_row

from feature_store.connection import Connection
from feature_store.declarations.declared_exceptions import BADGES, badge_of
from feature_store.declarations.feature_sets import Feature, FeatureSet
from feature_store.relation_name import Name
from feature_store.reporting.page.features.feature_models import (
    FeatureDetail,
    FeatureLine,
    Features,
    NullShare,
    SetLine,
)
from feature_store.reporting.page.features.lineage import read_lineage
from feature_store.reporting.page.features.skew import read_skew
from feature_store.reporting.page.problems import NotFound
from feature_store.reporting.page.schedule import days_ago
from feature_store.reporting.store.store_files import Files
from feature_store.schema.object_states import require_store
from feature_store.settings import Settings

_NULLS = """
SELECT r.dag_id, r.run_id, r.as_of_day, r.prepared_at, n.row_count AS rows, n.null_count AS nulls
FROM feature_store_audit.run AS r
INNER JOIN feature_store_audit.feature_nulls AS n ON r.dag_id = n.dag_id AND r.run_id = n.run_id
WHERE r.prepared_at >= %(since)s AND n.feature_set = %(set)s AND n.feature = %(feature)s
ORDER BY r.prepared_at, r.run_id
"""


def read_features(files: Files) -> Features:
    """All features as their contract files have them."""
    return Features(
        sets=[
            SetLine(
                name=s.name, relation=str(s.relation), entity=s.served.entity if s.served else None
            )
            for s in _in_order(files)
        ],
        features=list(_lines(files)),
        exceptions=files.exception_lines(),
        badges=BADGES,
    )


def _in_order(files: Files) -> list[FeatureSet]:
    """The sets that have t0 themselves, then those that are joined to one."""
    return sorted(
        files.feature_sets,
        key=lambda s: (s.served is None or s.served.t0.relation != s.relation, s.name),
    )


def read_feature(
    connection: Connection,
    settings: Settings,
    files: Files,
    feature_set: str,
    name: str,
    days: int,
) -> FeatureDetail:
    """One feature, whole.

    Raises:
        NotFound: no contract file has it.
        NotReady: the store has not been created.
    """
    found, feature = find_feature(files, feature_set, name)
    require_store(connection)
    line = _line(files, found, feature)
    since = days_ago(settings, days)
    with connection.cursor(row_factory=class_row(NullShare)) as cursor:
        nulls = cursor.execute(
            _NULLS, {"since": since, "set": feature_set, "feature": name}
        ).fetchall()
    return FeatureDetail(
        zone=settings.zone,
        feature=line,
        badge_words=BADGES[line.badge],
        comment=_comment(connection, found.relation, name),
        relation=str(found.relation),
        exceptions=files.exception_lines(tuple(line.exceptions)),
        lineage=read_lineage(connection, files, feature_set, name),
        nulls=nulls,
        skew=read_skew(connection, feature_set, name),
    )


def find_feature(files: Files, feature_set: str, name: str) -> tuple[FeatureSet, Feature]:
    """A feature and its set, as their contract file has them.

    Raises:
        NotFound: no contract file has it.
    """
    for found in files.feature_sets:
        for feature in found.features:
            if (found.name, feature.name) == (feature_set, name):
                return found, feature
    raise NotFound(
        f"No contract has the feature {name!r} of {feature_set!r}.", "Choose a feature of the list."
    )


def _comment(connection: Connection, relation: Name, column: str) -> str:
    """The column's comment in the database."""
    row = connection.execute(
        "SELECT col_description(a.attrelid, a.attnum) FROM pg_catalog.pg_attribute AS a "
        "WHERE a.attrelid = to_regclass(%s) AND a.attname = %s",
        (relation.quoted, column),
    ).fetchone()
    return (row and row[0]) or ""


def _lines(files: Files) -> Iterator[FeatureLine]:
    for feature_set in _in_order(files):
        for feature in feature_set.features:
            yield _line(files, feature_set, feature)


def _line(files: Files, feature_set: FeatureSet, feature: Feature) -> FeatureLine:
    ids = files.tainted.get((feature_set.name, feature.name), ())
    return FeatureLine(
        feature_set=feature_set.name,
        ordinal=feature.ordinal,
        name=feature.name,
        dtype=feature.dtype,
        is_nullable=feature.is_nullable,
        description=feature.description,
        leakage_rule=feature.leakage_rule,
        badge=badge_of(e for e in files.exceptions if e.id in ids),
        exceptions=list(ids),
        owner=feature.owner,
        tags=list(feature.tags),
        is_key=feature.name in feature_set.keys,
    )
