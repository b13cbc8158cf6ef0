"""The first start of a new database: create a store and stamp it, or do nothing."""

from __future__ import annotations

from feature_store.connection import Connection
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Store
from feature_store.schema.apply import apply
from feature_store.schema.object_states import has_audit
from feature_store.schema.stamps.proof_stamp import stamp_sets
from feature_store.settings import Settings


def bootstrap(connection: Connection, store: Store, settings: Settings) -> bool:
    """Create and stamp a store if none was ever created, in one transaction.

    If there was one, nothing is changed, whatever its state: a person decides what to apply and to
    stamp.

    Args:
        connection: a pinned session in autocommit mode, as the role that is to own the store.
        store: what the files say.
        settings: where the files are.

    Returns:
        Whether it created one.

    Raises:
        NotReady: the sources or the server are not fit.
        LeaseTaken: an apply is working on this database.
    """
    if has_audit(connection):
        return False
    with connection.transaction():
        apply(connection, store, settings)
        sets = read_feature_sets(settings.include_dir)
        stamp_sets(connection, store, settings.include_dir, sets, replace=False)
    return True
