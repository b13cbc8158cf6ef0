"""### Nightly refresh of the feature store

    prepare ─► base (blocking) ─► read (concurrent) ─► expectations ─► assert_contract

**What it does.** `prepare` takes the store's lease and checks, without changing anything, that a
refresh can start. `base` refreshes the base materialized views; readers wait while each is
refreshed. `read` refreshes the read layers concurrently; readers never wait. `expectations` proves
and checks the refreshed rows against what the refreshes saw, never against live sources.
`assert_contract` always runs, last. It fails if anything failed before. Otherwise it checks the
contracts and certifies the store; only then do the assets of what readers read, and of the feature
logs, get their events. The order within the groups comes from what the SQL files read.

**When it fails.** One mail says what broke, what readers see and the next command; so does the log
of `assert_contract`, which also names the run's report, an HTML file. A failure in `prepare` has
changed nothing. After the fix, clear the failed task with what follows it; the store is readable
meanwhile.

**A manual run** can get its as-of day as a parameter. It can also refresh what has not changed, and
accept lost rows; the trigger form shows how. **More:** README.md and docs/ next to this DAG's
folder.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import airflow

# What follows would fail later, and in words that do not say why.
if tuple(int(part) for part in airflow.__version__.split(".")[:2]) < (3, 3):
    raise ImportError(
        f"feature_store_refresh needs Airflow 3.3 or later; this is {airflow.__version__}."
    )

# In a bundle, such as a git checkout, Airflow knows this file and not the package beside it. The
# package of this very checkout comes first, also before one that is installed, so that a bundle's
# version is one version throughout.
PACKAGE = str(Path(__file__).resolve().parents[1] / "plugins")
found = find_spec("feature_store")
if found is None or not str(found.origin).startswith(PACKAGE):
    sys.path.insert(0, PACKAGE)

from feature_store.operators.nightly_dag import feature_store_dag  # noqa: E402

# For a second store copy this file, and name its folder and the Airflow connection to its database:
#   dag = feature_store_dag("/path/to/its/folder", conn_id="bikes", doc_md=__doc__)
dag = feature_store_dag(doc_md=__doc__)
