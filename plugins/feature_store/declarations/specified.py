"""Which relations need a specification, and what one may read, so that each is proven in the end.

A specification proves its relation if what it reads is proven, too. That must come down to the
sources: in a circle each would be proven by the other, whatever rows they have.
"""

from __future__ import annotations

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.files.sql_file import SqlFile
from feature_store.declarations.store_definition import Relation, Store, closure
from feature_store.errors import BadInput
from feature_store.relation_name import Name


def check_specification(store: Store, relation: Relation) -> None:
    """Refuse a layer without a specification, or one that reads what it may not.

    Args:
        store: what the files say. Every specification reads only its relations and sources.
        relation: of the store.

    Raises:
        BadInput: there is none, or it reads what is not proven, or not yet, or only by it.
    """
    specification = relation.specification
    if specification is None:
        if relation.refresh is not Refresh.NEVER:
            raise unspecified(relation.file)
        return
    path, before = specification.path, {r.name for r in closure(store, relation)}
    for name in sorted(specification.reads - {source.name for source in store.sources}):
        if store.find(str(name)).specification is None:
            raise BadInput(
                f"{path} reads {name}, which has no specification of its own.",
                next_step=f"Write in {path} itself what it takes from there, or write a "
                f"specification of {name}.",
            )
        if relation.specified_by_refresh and name not in before:
            raise BadInput(
                f"{path} reads {name}, which is refreshed after {relation.name} or at the same "
                "time.",
                next_step=f"Read what {relation.name} itself reads.",
            )
        if relation.name in _rests_on(store, name):
            raise BadInput(
                f"{path} reads {name}, whose file or specification reads {relation.name}, directly "
                "or through others. So each would be proven by the other.",
                next_step=f"Read what {relation.name} itself reads.",
            )


def _rests_on(store: Store, name: Name) -> set[Name]:
    """A relation, and all that its file and its specification read, directly or through others."""
    by_name = {r.name: r for r in store.relations}
    found, pending = set[Name](), [name]
    while pending:
        relation = by_name.get(pending.pop())
        if relation and relation.name not in found:
            found.add(relation.name)
            pending += relation.reads
            pending += relation.specification.reads if relation.specification else ()
    return found


def unspecified(file: SqlFile) -> BadInput:
    """The error for a relation without a specification."""
    return BadInput(
        f"{file.path}: {file.name} has no specification, so no run could prove its rows.",
        next_step=f"Write include/sql/specifications/{file.name}.sql: a query that gives the "
        "same rows in another way.",
    )
