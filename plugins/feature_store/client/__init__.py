"""What training and inference read: features of one certified moment, as a table.

Stands alone: it needs psycopg, for `to="pandas"` pandas, for `to="arrow"` pyarrow, and nothing of
what keeps the store. See docs/training.md.
"""

from feature_store.client.errors import CertificationTooOld, NotCertified, TimedOut
from feature_store.client.reading import read_features, read_training_set
from feature_store.errors import BadInput, CannotConnect, ContractBroken, NotReady, StoreError

__all__ = [
    "BadInput",
    "CannotConnect",
    "CertificationTooOld",
    "ContractBroken",
    "NotCertified",
    "NotReady",
    "StoreError",
    "TimedOut",
    "read_features",
    "read_training_set",
]
