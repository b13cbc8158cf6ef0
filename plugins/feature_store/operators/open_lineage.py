"""The store for OpenLineage: datasets and column lineage, where Airflow's provider is installed.

The provider calls an operator's ``get_openlineage_facets_on_complete`` after the task, and sends
what it gives to wherever Airflow's configuration says. Without the provider nobody calls it, and
nobody imports this. The lineage is the leak gates': worked out of the stored queries, not of the
text of files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.providers.common.compat.openlineage.facet import (  # noqa: TID253  # see above
    ColumnLineageDatasetFacet,
    Dataset,
    Fields,
    InputField,
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: TID253
from openlineage.client.generated.column_lineage_dataset import Transformation

from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.database.session import open_session
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import read_store
from feature_store.relation_name import Name
from feature_store.settings import Settings
from feature_store.validation.leaks.gates import read_gate_context
from feature_store.validation.leaks.relation_lineage import Named, RelationLineage, relation_lineage


def lineage_of(relation: str, settings: Settings) -> OperatorLineage:
    """What the refresh of a relation read and wrote."""
    return _lineage([Name.parse(relation)], settings)


def lineage_of_bound_views(settings: Settings) -> OperatorLineage:
    """What feature sets on plain views read; no task refreshes these."""
    include_dir = settings.include_dir
    views = {r.name for r in read_store(include_dir).relations if r.refresh is Refresh.NEVER}
    bound = [s.relation for s in read_feature_sets(include_dir) if s.relation in views]
    return _lineage(bound, settings)


def _lineage(relations: Iterable[Name], settings: Settings) -> OperatorLineage:
    with open_session(settings, "lineage") as connection:
        traced = _traced(connection, settings, relations)
        datasets = _Datasets(connection)
        return OperatorLineage(
            inputs=[datasets.named(name) for name in sorted({n for t in traced for n in t.reads})],
            outputs=[datasets.written(one) for one in traced],
        )


def _traced(
    connection: Connection, settings: Settings, relations: Iterable[Name]
) -> list[RelationLineage]:
    include_dir = settings.include_dir
    gates = read_gate_context(
        connection,
        read_store(include_dir),
        read_feature_sets(include_dir),
        read_rules(include_dir),
        read_exceptions(include_dir),
    )
    return [traced for name in relations if (traced := relation_lineage(gates, name))]


class _Datasets:
    """Relations as OpenLineage names them: ``postgres://host:port``, ``database.schema.table``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        info = connection.info
        host = "localhost" if info.host.startswith("/") else info.host  # a socket's folder
        self._namespace = f"postgres://{host}:{info.port}"
        self._database = info.dbname

    def named(self, name: Name) -> Any:
        """A relation as a dataset, with its columns."""
        return Dataset(
            namespace=self._namespace, name=self._name(name), facets={"schema": self._schema(name)}
        )

    def written(self, lineage: RelationLineage) -> Any:
        """A relation as a written dataset, with what its columns are made of."""
        dataset = self.named(lineage.relation)
        dataset.facets["columnLineage"] = self._columns(lineage)
        return dataset

    def _name(self, name: Name) -> str:
        return f"{self._database}.{name}"

    def _schema(self, name: Name) -> Any:
        columns = live_columns(self._connection, name).items()
        return SchemaDatasetFacet(
            fields=[SchemaDatasetFacetFields(name=column, type=kind) for column, kind in columns]
        )

    def _columns(self, lineage: RelationLineage) -> Any:
        fields = {}
        for column, made_of in lineage.made_of.items():
            direct = [self._field(read, "DIRECT") for read in made_of]
            indirect = [self._field(read, "INDIRECT") for read in lineage.decided_by[column]]
            if direct or indirect:
                fields[column] = Fields(inputFields=[*direct, *indirect])
        rows = [self._field(read, "INDIRECT") for read in lineage.rows]
        return ColumnLineageDatasetFacet(fields=fields, dataset=rows)

    def _field(self, read: Named, kind: str) -> Any:
        relation, column = read
        return InputField(
            namespace=self._namespace,
            name=self._name(relation),
            field=column,
            transformations=[Transformation(type=kind)],
        )
