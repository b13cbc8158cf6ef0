"""One entity as it was served, and as it is in the store today."""

from __future__ import annotations

from typing import Any

from feature_store.connection import Connection
from feature_store.errors import BadInput
from feature_store.reporting.page.features.profile_models import ServedBesideToday, ServedValue
from feature_store.reporting.page.features.profiles import may_read
from feature_store.reporting.page.problems import NotFound
from feature_store.reporting.served import read_entity
from feature_store.reporting.store.store_files import Files
from feature_store.schema.feature_logs.feature_log import log_of
from feature_store.settings import Settings

CANNOT = (
    "The page's login may not read rows of features, or nothing has been served yet.",
    "Run bin/feature-store served as the refresher: it shows the same.",
)


def read_served(
    connection: Connection, _: Settings, files: Files, feature_set: str, entity: str
) -> ServedBesideToday:
    """Look one entity up by its key: one row of the log, one of the set.

    Raises:
        NotFound: there is no such set, log or entity, or the page's role may not read them.
    """
    found = next((s for s in files.feature_sets if s.name == feature_set and s.served), None)
    if found is None:
        raise NotFound(
            f"No contract has a feature log called {feature_set!r}.",
            "Choose a feature set of the list.",
        )
    if not may_read(connection, log_of(found), found.relation):
        raise NotFound(*CANNOT)
    try:
        beside = read_entity(connection, found, entity)
    except BadInput as error:
        raise NotFound(error.problem, error.next_step) from error
    return ServedBesideToday(
        words=beside.words,
        values=[
            ServedValue(
                feature=row["feature"],
                served=_shown(row["served"]),
                today=_shown(row["today"]),
                differs=row["differs"],
            )
            for row in beside.rows
        ],
    )


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)
