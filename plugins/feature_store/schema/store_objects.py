"""The objects that apply creates, as the files say."""

from __future__ import annotations

from pathlib import Path

from feature_store.database.catalog import describe_relation
from feature_store.declarations.store_definition import Relation, Store
from feature_store.schema.adoption import collisions, misfits
from feature_store.schema.governance.governance import Governance, read_governance
from feature_store.schema.object_states import StoreObject


def store_objects(store: Store, include_dir: Path) -> tuple[StoreObject, ...]:
    """Every object of the store, in an order in which they can be created.

    Raises:
        BadInput: a governance or contract file cannot be read.
    """
    return (
        *(_governance(governance) for governance in read_governance(store.profile)),
        *(_relation(store, r, include_dir) for r in store.relations),
    )


def _relation(store: Store, relation: Relation, include_dir: Path) -> StoreObject:
    file = relation.file
    return StoreObject(
        label=str(file.name),
        definition=file.definition,
        dictionary=file.dictionary,
        create=(file.create.text, *(i.text for i in file.indexes.values())),
        comment=tuple(c.text for c in file.comments),
        describe=lambda connection: describe_relation(connection, file),
        misfits=lambda connection: misfits(connection, store, relation, include_dir),
        collisions=lambda connection: collisions(connection, relation),
        relation=relation,
        governance=None,
    )


def _governance(governance: Governance) -> StoreObject:
    return StoreObject(
        label=governance.label,
        definition=governance.definition,
        dictionary=governance.dictionary,
        create=tuple(text for part in governance.parts for text in part.statements),
        comment=tuple(text for part in governance.parts for text in part.comments),
        describe=governance.describe,
        misfits=lambda _: [],
        collisions=lambda _: {},
        relation=None,
        governance=governance,
    )
