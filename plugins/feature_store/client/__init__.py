"""What training and inference read: features of one certified moment, as a table.

It stands alone. It needs psycopg, pandas for `to="pandas"`, pyarrow for `to="arrow"`, and nothing
else of this package. See docs/training.md.
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
