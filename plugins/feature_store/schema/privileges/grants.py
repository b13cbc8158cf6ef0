"""The SQL that makes a store's roles and grants what each needs, out of the store's folder.

What holds for any store is in ``sql/roles.sql.jinja``; whoever administers the database reads the
result and runs it with psql. No database is asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from psycopg import sql

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.files.text_file import PACKAGE_SQL, read_text
from feature_store.declarations.store_definition import Store, read_store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.relation_name import Name
from feature_store.schema.governance.governance import GOVERNANCE_TABLES
from feature_store.schema.privileges.audit_privileges import AUDIT_FUNCTIONS, AUDIT_LOGS

KEPT = "roles.sql"
"""Under this name a store's folder may keep it, for whoever has psql and no Python."""


def read_grants(include_dir: Path) -> str:
    """What a store's folder asks for.

    Raises:
        BadInput: a file of it that cannot be used.
    """
    store = read_store(include_dir)
    check_declarations(include_dir, store)
    return grants(store, read_feature_sets(include_dir))


def kept_problems(include_dir: Path) -> list[str]:
    """Say if the file that a folder keeps is not what it asks for now; it need not keep one.

    Raises:
        BadInput: a file of it that cannot be used.
    """
    kept = include_dir / KEPT
    if not kept.exists() or read_text(kept) == read_grants(include_dir):
        return []
    folder, file = shlex.quote(str(include_dir)), shlex.quote(str(kept))
    return [
        f"{kept} is not what the folder asks for now. `bin/feature-store grants {folder} > {file}` "
        "writes it again; then let the administrator run it."
    ]


def grants(store: Store, sets: Iterable[FeatureSet]) -> str:
    """The SQL for psql.

    Args:
        store: what it has and reads.
        sets: its feature sets: readers read what carries them, their t0 and their labels.
    """
    sets = list(sets)
    profile = store.profile
    for_readers = {one.relation for one in sets} | set(map(Name.parse, profile.for_readers))
    for_readers |= {r.name for r in store.relations if r.refresh is Refresh.CONCURRENT}
    environment = Environment(
        loader=FileSystemLoader(PACKAGE_SQL),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # it is no HTML: what is quoted is quoted for PostgreSQL
    )
    environment.filters |= {"literal": _literal, "identifier": _identifier}
    return environment.get_template("roles.sql.jinja").render(
        name=profile.name,
        title=profile.title,
        role_prefix=profile.role_prefix,
        governed=profile.governed_schemas,
        relations=[
            (r.name, r.name in for_readers) for r in sorted(store.relations, key=lambda r: r.name)
        ],
        columns=sorted((n, c) for n, c in _read_by_column(sets) if n not in for_readers),
        sources=[source.name for source in store.sources],
        logged=[one.name for one in sets if one.served],
        governance_tables=GOVERNANCE_TABLES,
        audit_logs={
            log: columns and f"{{{', '.join(columns)}}}" for log, columns in AUDIT_LOGS.items()
        }.items(),
        audit_functions=AUDIT_FUNCTIONS,
    )


def _read_by_column(sets: Iterable[FeatureSet]) -> set[tuple[Name, str]]:
    """The columns that the client joins to a set's relation: entity, t0 and labels."""
    return {
        (column.relation, name)
        for served in (one.served for one in sets if one.served)
        for column in (served.t0, *served.labels)
        for name in (served.entity, column.name)
    }


def _literal(text: str | None) -> str:
    return sql.Literal(text).as_string().strip()


def _identifier(name: str) -> str:
    return sql.Identifier(name).as_string()
