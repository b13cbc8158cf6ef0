"""What a relation is made of: its file, and its columns in the database."""

from __future__ import annotations

from psycopg.rows import class_row

from feature_store.connection import Connection
from feature_store.declarations.files.text_file import read_text
from feature_store.relation_name import Name
from feature_store.reporting.page.features.profile_models import RelationColumn, RelationSource
from feature_store.reporting.page.problems import NotFound
from feature_store.reporting.store.store_files import Files
from feature_store.settings import Settings

# From the catalog only: it needs no right to read the relation, and does not wait for a refresh.
_COLUMNS = """
SELECT
    a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
    coalesce(col_description(a.attrelid, a.attnum), '') AS comment
FROM pg_catalog.pg_attribute AS a
INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def read_relation_source(
    connection: Connection, settings: Settings, files: Files, relation: str
) -> RelationSource:
    """Read file and columns.

    Raises:
        NotFound: no file of the store builds it.
        BadInput: its file cannot be read.
    """
    described = files.relations.get(relation)
    if described is None:
        raise NotFound(
            f"The store has no file for {relation!r}.", "Choose a relation of the graph."
        )
    name = Name.parse(relation)
    with connection.cursor(row_factory=class_row(RelationColumn)) as cursor:
        columns = cursor.execute(_COLUMNS, (name.schema, name.relation)).fetchall()
    return RelationSource(
        name=relation,
        label=described.label,
        file=described.path.relative_to(settings.include_dir).as_posix(),
        sql=read_text(described.path),
        columns=columns,
    )
